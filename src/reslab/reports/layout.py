"""How parts of a page fit screens of every width: in a row, or below where it is full."""

from typing import Any

from bokeh.layouts import column, row
from bokeh.models import UIElement

# A part that is as wide as there is room, and no narrower than a phone.
FITS: dict[str, Any] = {
    "sizing_mode": "stretch_width",
    "min_width": 300,
    "styles": {"flex": "1 1 22rem"},
}
# Without a viewport a phone shows the page as if it were a desk's screen, and tiny.
TEMPLATE = """
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ style }}</style>
{% endblock %}
{% block inner_body %}
<main>{{ super() }}</main>
{% endblock %}
"""
# Each figure is a panel, as on the other pages.
PANELS = ".bk-Figure { border-radius: var(--round); box-shadow: 0 0 0 1px var(--line) }"


def beside(*parts: UIElement) -> UIElement:
    """Parts in a row, which goes on below where it is full."""
    styles = {"flex-wrap": "wrap", "gap": "0.75rem", "align-items": "start"}
    return row(*parts, sizing_mode="stretch_width", styles=styles, stylesheets=[PANELS])


def below(*parts: UIElement, **options: Any) -> UIElement:
    """Parts one below the other."""
    return column(*parts, sizing_mode="stretch_width", stylesheets=[PANELS], **options)
