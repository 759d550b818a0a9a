"""How parts of a page fit screens of every width: in a row, or below where it is full."""

from typing import Any

from bokeh.layouts import column, row
from bokeh.models import UIElement

FONT = {"font-family": "sans-serif"}
# A part that is as wide as there is room, and no narrower than a phone.
FITS: dict[str, Any] = {
    "sizing_mode": "stretch_width",
    "min_width": 300,
    "styles": {"flex": "1 1 22rem"},
}
# Without it a phone shows the page as if it were a desk's screen, and tiny.
TEMPLATE = """
{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body { max-width: 90rem; margin: 0 auto; padding: 0.75rem }</style>
{% endblock %}
"""


def beside(*parts: UIElement) -> UIElement:
    """Parts in a row, which goes on below where it is full."""
    styles = {"flex-wrap": "wrap", "gap": "0.75rem", "align-items": "start"}
    return row(*parts, sizing_mode="stretch_width", styles=styles)


def below(*parts: UIElement, **options: Any) -> UIElement:
    """Parts one below the other."""
    return column(*parts, sizing_mode="stretch_width", **options)
