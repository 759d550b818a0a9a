"""Figures that are declared here and fed by the page; the style sheet colors them."""

from typing import Any

from bokeh.embed import json_item
from bokeh.models import UIElement
from bokeh.plotting import figure
from bokeh.themes import Theme

from reslab.evaluation.palette import BOKEH_THEME, COLORS

TOOLS = "pan,wheel_zoom,box_zoom,reset,save"


def palette(theme: str) -> tuple[str, ...]:
    """Colors to tell runs apart: black shows on a light ground alone, so `dark` has white."""
    return COLORS if theme == "light" else (*COLORS[:-1], "#FFFFFF")


def as_item(model: UIElement) -> dict[str, Any]:
    """What the page's `figure` is answered with."""
    item: dict[str, Any] = json_item(model, theme=Theme(json=BOKEH_THEME))
    return item


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
        **({"tools": TOOLS, "height": 320, "sizing_mode": "stretch_width"} | more),
    )
    drawn.toolbar.logo = None
    return drawn
