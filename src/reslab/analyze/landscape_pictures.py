"""Landscapes of several runs on one scale, as a figure and on a page."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.models import BasicTicker, ColorBar, ColumnDataSource, Div, LogColorMapper, UIElement
from bokeh.palettes import Viridis256
from bokeh.plotting import figure as plot
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from reslab.analysis.landscape import steps
from reslab.analyze.landscape import Landscape, Settings
from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.evaluation.palette import COLORS
from reslab.reports.layout import FITS, beside

LEVELS = 22
LEAST = 1e-6  # of a loss that is drawn on a logarithmic scale
MOST_ABREAST = 3
STEP = "Steps, each as long as the filters are"


@own_style
def draw(found: Sequence[Landscape], titles: Sequence[str], settings: Settings, path: Path) -> Path:
    """Contours of the loss in the plane, a panel a run, and below all along one direction.

    Args:
        found: The landscapes.
        titles: Of each its run's name and test accuracy.
        settings: What was asked for.
        path: The file without its ending: PNG and PDF are written.
    """
    columns = min(len(found), MOST_ABREAST)
    rows = -(-len(found) // columns)
    height = 3.9 * rows
    figure = Figure(figsize=(max(4.0 * columns + 1.0, 7), height + 3.2), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 3.2))
    above, below = parts.ravel()
    panels = above.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    low, high = _limits(found)
    levels = np.geomspace(low, high, LEVELS)
    side = steps(settings.points, settings.reach)
    for axes, one, title in zip(panels, found, titles, strict=False):
        losses = one.losses.clip(low, high)
        shades = axes.contourf(side, side, losses, levels, norm=LogNorm(low, high), cmap="viridis")
        axes.contour(side, side, losses, levels[::2], colors="white", linewidths=0.6, alpha=0.7)
        axes.plot(0, 0, marker="+", color="white", markersize=10)
        axes.set_aspect("equal")
        axes.set_title(textwrap.fill(literal(title), 44), loc="left", fontsize=9)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    bar = above.colorbar(
        shades,
        ax=panels.tolist(),
        shrink=0.85,
        format=LogFormatterSciNotation(minor_thresholds=(2, 0.5)),
        ticks=_ticks(low, high),
    )
    bar.minorticks_off()
    bar.set_label("Loss")
    axes = below.subplots()
    places = steps(settings.line_points, settings.reach)
    for at, (one, title) in enumerate(zip(found, titles, strict=True)):
        axes.plot(places, one.line[:, 0], color=COLORS[at % len(COLORS)], label=literal(title))
    axes.set_yscale("log")
    axes.set_xlabel(f"{STEP}, along the first direction")
    axes.set_ylabel("Loss")
    axes.legend(frameon=False, fontsize=8)
    plain(axes)
    figure.suptitle(f"Loss around the trained weights, {_said(found, settings)}")
    return save_figure(figure, path)


def show(found: Sequence[Landscape], titles: Sequence[str], settings: Settings) -> list[UIElement]:
    """The same for a page, which says the loss and the accuracy under the pointer."""
    low, high = _limits(found)
    mapper = LogColorMapper(palette=Viridis256, low=low, high=high)
    side = steps(settings.points, settings.reach)
    width = side[1] - side[0]
    planes = []
    for one, title in zip(found, titles, strict=True):
        drawn = plot(
            height=420,
            **FITS,
            title=textwrap.fill(title, 50),
            match_aspect=True,
            tools="hover,save",
            tooltips=[
                ("steps", "$x{0.00}, $y{0.00}"),
                ("loss", "@loss"),
                ("accuracy", "@share{0.0%}"),
            ],
        )
        source = ColumnDataSource({"loss": [one.losses], "share": [one.plane[..., 1]]})
        corner, length = side[0] - width / 2, side[-1] - side[0] + width
        drawn.image("loss", corner, corner, length, length, source=source, color_mapper=mapper)
        drawn.contour(
            side,
            side,
            one.losses.clip(low, high),
            list(np.geomspace(low, high, LEVELS)[1:-1:2]),
            line_color="white",
            line_alpha=0.6,
        )
        drawn.scatter([0], [0], marker="cross", size=12, color="white")
        drawn.grid.visible = False
        drawn.add_layout(ColorBar(color_mapper=mapper, title="Loss"), "right")
        planes.append(drawn)
    text = f"<h1>Loss around the trained weights</h1><p>{_said(found, settings)}</p>"
    return [Div(text=text), beside(*planes), _line(found, titles, settings)]


def _line(found: Sequence[Landscape], titles: Sequence[str], settings: Settings) -> Any:
    drawn = plot(
        height=360,
        sizing_mode="stretch_width",
        x_axis_label=f"{STEP}, along the first direction",
        y_axis_label="Loss",
        y_axis_type="log",
        tools="hover,pan,box_zoom,reset,save",
        tooltips=[
            ("run", "$name"),
            ("step", "@x{0.00}"),
            ("loss", "@y"),
            ("accuracy", "@share{0.0%}"),
        ],
    )
    places = steps(settings.line_points, settings.reach)
    for at, (one, title) in enumerate(zip(found, titles, strict=True)):
        color = COLORS[at % len(COLORS)]
        source = ColumnDataSource({"x": places, "y": one.line[:, 0], "share": one.line[:, 1]})
        more = {"source": source, "color": color, "name": title, "legend_label": title}
        drawn.line("x", "y", line_width=2, **more)
        drawn.scatter("x", "y", size=5, **more)
    drawn.xaxis.ticker = BasicTicker()
    drawn.add_layout(drawn.legend[0], "below")
    return drawn


def _limits(found: Sequence[Landscape]) -> tuple[float, float]:
    """The least and the largest loss of all; they differ."""
    finite = np.concatenate([one.losses[np.isfinite(one.losses)] for one in found])
    low = max(float(finite.min(initial=np.inf)), LEAST) if len(finite) else LEAST
    high = float(finite.max(initial=0)) if len(finite) else 1.0
    return low, max(high, 1.01 * low)


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten between two losses, with their halves and fifths where there are few."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    some = [p for p in powers if low <= p <= high]
    if len(some) < 3:
        some = [p * factor for p in powers for factor in (1, 2, 5) if low <= p * factor <= high]
    return some


def _said(found: Sequence[Landscape], settings: Settings) -> str:
    which = {"train": "training", "val": "validation", "test": "test"}[settings.split]
    numbers = sorted({one.images for one in found})
    return f"mean over {' or '.join(f'{number:,}' for number in numbers)} {which} images"
