"""The flow of gradients through several networks, as a figure and on a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import ColumnDataSource, Div, UIElement
from bokeh.plotting import figure as plot
from matplotlib.figure import Figure

from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.evaluation.palette import COLORS
from reslab.reports.layout import FITS, beside

if TYPE_CHECKING:
    from reslab.analyze.flow import Flow

TITLE = "Gradients before training"
DEPTH, NORM = "Layer, from image to logits", "L2 norm of the weight's gradient"
DISTANCE, CORRELATION = (
    "Distance on the line between two images",
    "Correlation of gradients",
)


@own_style
def draw(found: Sequence["Flow"], path: Path) -> Path:
    """Medians over seeds, and from the least to the greatest: size by depth, and correlation.

    Args:
        found: The networks.
        path: The file without its ending: PNG and PDF are written.
    """
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for one, color in zip(found, _colors(found), strict=True):
        style = "--" if one.skips is False else "-"
        for axes, (x, rows) in zip((left, right), _curves(one), strict=True):
            axes.plot(x, np.median(rows, 0), style, color=color, label=literal(one.title))
            axes.fill_between(x, rows.min(0), rows.max(0), color=color, alpha=0.15, linewidth=0)
    left.set_yscale("log")
    left.set_xlabel(DEPTH)
    left.set_ylabel(NORM)
    right.axhline(0, color="0.6", linewidth=0.8)
    right.set_xlabel(DISTANCE)
    right.set_ylabel(CORRELATION)
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        plain(axes)
    figure.suptitle(f"{TITLE}, {_said(found)}")
    return save_figure(figure, path)


def show(found: Sequence["Flow"]) -> list[UIElement]:
    """The same for a page, which says the layer and the values under the pointer."""
    hints = [("network", "$name"), ("layer", "@layer"), ("norm", "@y{0.000e}")]
    axes = {"x_axis_label": DEPTH, "y_axis_label": NORM, "y_axis_type": "log"}
    left = plot(height=420, tools="hover,pan,box_zoom,reset,save", tooltips=hints, **axes, **FITS)
    hints = [("network", "$name"), ("distance", "@x{0.00}"), ("correlation", "@y{0.00}")]
    axes = {"x_axis_label": DISTANCE, "y_axis_label": CORRELATION}
    right = plot(height=420, tools="hover,pan,box_zoom,reset,save", tooltips=hints, **axes, **FITS)
    for one, color in zip(found, _colors(found), strict=True):
        dash = "dashed" if one.skips is False else "solid"
        for drawn, (x, rows) in zip((left, right), _curves(one), strict=True):
            layers = one.layers if drawn is left else [""] * len(x)
            values = {"x": x, "y": np.median(rows, 0), "low": rows.min(0), "high": rows.max(0)}
            source = ColumnDataSource(values | {"layer": layers})
            drawn.varea("x", "low", "high", source=source, color=color, alpha=0.15)
            more = {"source": source, "color": color, "name": one.title, "legend_label": one.title}
            drawn.line("x", "y", line_width=2, line_dash=dash, **more)
            drawn.scatter("x", "y", size=4, **more)
    for drawn in (left, right):
        drawn.add_layout(drawn.legend[0], "below")
    return [Div(text=f"<h1>{TITLE}</h1><p>{_said(found)}</p>"), beside(left, right)]


def _colors(found: Sequence["Flow"]) -> list[str]:
    """One for each name: what differs in the skips alone is told apart by the line."""
    names = list(dict.fromkeys(one.name for one in found))
    return [COLORS[names.index(one.name) % len(COLORS)] for one in found]


def _curves(one: "Flow") -> list[tuple[np.ndarray, np.ndarray]]:
    """Where its values are, and those of each seed: of size by depth, and of correlation."""
    distances = one.correlations.shape[1]  # the last is a quarter of the line
    return [
        (np.arange(1, len(one.layers) + 1), one.norms),
        (np.linspace(0, 0.25, distances), one.correlations),
    ]


def _said(found: Sequence["Flow"]) -> str:
    number = len(found[0].norms)
    return f"median and range of {number} seeds" if number > 1 else "one seed"
