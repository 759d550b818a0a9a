"""Pages of one file each, whose parts fit screens of every width: in a row, or below its end."""

from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import UIElement
from bokeh.resources import INLINE
from bokeh.themes import Theme

from reslab.evaluation.palette import BOKEH_THEME, STYLE_SHEET
from reslab.files import write_atomically

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


def write_page(path: Path, title: str, *parts: UIElement, name: str) -> Path:
    """Writes parts, one below the other, as a page that is of use offline.

    Args:
        path: The HTML file.
        title: The page's; a text, not HTML.
        parts: What it has.
        name: What tests and the studio find all of it by.
    """
    page = file_html(
        below(*parts, name=name),
        INLINE,
        title,
        template=TEMPLATE,
        template_variables={"style": STYLE_SHEET.read_text()},
        theme=Theme(json=BOKEH_THEME),
    )
    write_atomically(path, page.encode())
    return path
