"""Figures that are declared here and fed by the page, in the colors of the other reports."""

from typing import Any

from bokeh.embed import json_item
from bokeh.models import UIElement
from bokeh.plotting import figure
from bokeh.themes import Theme

from reslab.evaluation.palette import COLORS

# Ink, and what is softer than it: as in the style sheet.
INKS = {"light": ("#1d2126", "#5c6670", "#dde1e6"), "dark": ("#e6e9ed", "#9aa4af", "#333a42")}


def palette(theme: str) -> tuple[str, ...]:
    """Colors to tell runs apart, `light` or `dark`: black shows on a light ground alone."""
    return COLORS if theme == "light" else (*COLORS[:-1], INKS["dark"][0])


def plot(name: str, title: str, below: str, beside: str, scale: str = "linear", **more: Any) -> Any:
    """An empty figure that fills its place.

    A zoom of the user's is not undone by new points.

    Args:
        name: What the page finds it by.
        title: Stands above it.
        below: The horizontal axis' name, with its unit.
        beside: The vertical axis'.
        scale: `linear` or `log`, of the vertical axis.
        more: What else Bokeh's `figure` takes.
    """
    drawn = figure(
        name=name,
        title=title,
        x_axis_label=below,
        y_axis_label=beside,
        y_axis_type=scale,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        **({"height": 320, "sizing_mode": "stretch_width"} | more),
    )
    drawn.toolbar.logo = None
    drawn.toolbar.autohide = True
    return drawn


def as_item(model: UIElement, theme: str) -> dict[str, Any]:
    """What the page's `figure` shows, drawn for a `light` or a `dark` page."""
    item: dict[str, Any] = json_item(model, theme=_theme("dark" if theme == "dark" else "light"))
    return item


def _theme(name: str) -> Theme:
    ink, soft, line = INKS[name]
    text = {"text_color": soft, "text_font": "system-ui, sans-serif"}
    axis = {f"{part}_{key}": value for part in ("major_label",) for key, value in text.items()}
    return Theme(
        json={
            "attrs": {
                "Plot": {
                    "background_fill_color": None,
                    "border_fill_color": None,
                    "outline_line_color": None,
                },
                "Axis": axis
                | {
                    "axis_line_color": line,
                    "major_tick_line_color": line,
                    "minor_tick_line_color": None,
                    "axis_label_text_color": soft,
                    "axis_label_text_font": text["text_font"],
                    "axis_label_text_font_style": "normal",
                    "axis_label_text_font_size": "12px",
                    "major_label_text_font_size": "12px",
                },
                "Grid": {"grid_line_color": line, "grid_line_alpha": 0.6},
                "Title": {
                    "text_color": ink,
                    "text_font": text["text_font"],
                    "text_font_size": "14px",
                    "text_font_style": "bold",
                },
                "Legend": {
                    "background_fill_color": None,
                    "border_line_color": None,
                    "label_text_color": ink,
                    "label_text_font": text["text_font"],
                    "label_text_font_size": "12px",
                },
            }
        }
    )
