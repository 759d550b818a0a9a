"""How what reslab shows looks: Okabe & Ito's colors, distinct also to the color-blind; pages."""

from pathlib import Path

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
BLUE, ORANGE, GREEN, PURPLE = COLORS[:4]

STYLE_SHEET = Path(__file__).with_name("style.css")  # of all pages

# What it cannot reach is within Bokeh's elements: their legends, tables and fields.
WITHIN_BOKEH = """
:host {
  --background-color: var(--panel); --color: var(--ink); --border-color: var(--line);
  --hover-color: var(--hover); --base-font: system-ui, sans-serif; --font-size: 13px;
}
:host(.bk-Legend) { background-color: transparent !important; border: 0 !important }
.bk-item .bk-label { color: var(--ink) !important; font: 12px system-ui, sans-serif !important }
h1 { font-size: 1.25rem; margin: 0 } h2 { font-size: 1rem; margin: 1rem 0 0 }
.bk-btn, .bk-btn:hover {
  background: var(--panel) !important; color: var(--ink) !important; box-shadow: none !important;
  border-color: var(--line) !important;
}
.bk-btn.bk-active { background: var(--tint) !important; border-color: var(--accent) !important }
.noUi-target { background: var(--line) !important; box-shadow: none !important; border: 0 }
.noUi-connect { background: var(--accent) !important }
.noUi-handle { background: var(--accent) !important; box-shadow: none !important; border: 0 }
.slick-header-columns, .slick-header-column, .slick-row {
  background: var(--panel) !important; color: var(--ink) !important;
}
.slick-row.odd { background: var(--ground) !important }
.slick-cell, .slick-header-column { border-color: var(--line) !important }
"""
GRAY = "#7F8891"  # is seen on a light ground and on a dark one
BOKEH_THEME = {
    "attrs": {
        "StyledElement": {"stylesheets": [WITHIN_BOKEH]},
        "Toolbar": {"autohide": True},
        "ColorBar": {"major_label_text_color": GRAY, "background_fill_color": None},
        "Span": {"line_color": GRAY},
    }
}
