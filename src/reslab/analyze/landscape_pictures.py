"""Landscapes of several runs on one scale, as a figure and on a page."""

import html
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    Div,
    FixedTicker,
    LogColorMapper,
    UIElement,
)
from bokeh.palettes import Viridis256
from bokeh.plotting import figure as plot
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.analysis.landscape import steps
from reslab.analyze.landscape import Landscape, Settings
from reslab.analyze.panels import look, named, wrapped
from reslab.analyze.question import Question
from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.reports.layout import FITS, beside

LEVELS = 22
LEAST = 1e-6  # of a loss that is drawn on a logarithmic scale
MOST_ABREAST = 3
FIRST, SECOND = (f"Steps along the {which} direction" for which in ("first", "second"))
LENGTH = "a step is as long as the filters are"
MOST_TICKS = 8
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
TOLD = ("loss", "@loss"), ("accuracy", "@share{0.0%}")
NOT_FINITE = "not finite"


@own_style
def draw(found: Sequence[Landscape], titles: Sequence[str], question: Question, path: Path) -> Path:
    """Contours of the loss in the plane, a panel a run, and below all along one direction.

    Args:
        found: The landscapes.
        titles: Of each its run's name and test accuracy.
        question: What was asked for.
        path: The file without its ending: PNG and PDF are written.
    """
    settings: Settings = question.settings
    columns = min(len(found), MOST_ABREAST)
    rows = -(-len(found) // columns)
    heights = 3.9 * rows, 2.8 + 0.17 * len(found)
    width = max(4.0 * columns + 1.0, 7)
    figure = Figure(figsize=(width, sum(heights) + 0.5), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    above, below = parts.ravel()
    panels = above.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    limits, side = _limits(found), steps(settings.points, settings.reach)
    for axes, one, title in zip(panels, found, titles, strict=False):
        _draw_plane(axes, one, side, limits)
        axes.set_title(wrapped(literal(title), 50), loc="left", fontsize=8)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    for axes in panels[: len(found)][-columns:]:  # above an empty place, too
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(FIRST, fontsize=9)
    for axes in panels[: len(found) : columns]:
        axes.set_ylabel(SECOND, fontsize=9)
    ticks = _ticks(*limits)
    shades = ScalarMappable(LogNorm(*limits), "viridis")
    bar = above.colorbar(
        shades, ax=panels.tolist(), shrink=0.85, aspect=20 * rows, ticks=list(ticks)
    )
    bar.ax.set_yticklabels(ticks.values())
    bar.minorticks_off()
    bar.set_label("Loss")
    _draw_line(below.subplots(), found, titles, settings)
    said = textwrap.fill(literal(_said(found, question)), int(11 * width))
    figure.suptitle(f"Loss around the trained weights\n{said}", fontsize=11)
    return save_figure(figure, path)


def _draw_plane(
    axes: Axes, one: Landscape, side: Sequence[float], limits: tuple[float, float]
) -> None:
    axes.set_aspect("equal")
    axes.set_xlim(side[0], side[-1])
    axes.set_ylim(side[0], side[-1])
    if not _has_area(one):
        axes.text(0.5, 0.5, NOT_FINITE, transform=axes.transAxes, ha="center", va="center")
        return
    levels, losses = np.geomspace(*limits, LEVELS), one.losses.clip(*limits)
    axes.contourf(side, side, losses, levels, norm=LogNorm(*limits), cmap="viridis")
    axes.contour(side, side, losses, levels[::2], colors="white", linewidths=0.6, alpha=0.7)
    axes.plot(0, 0, marker="+", color="white", markersize=10)


def _draw_line(
    axes: Axes, found: Sequence[Landscape], titles: Sequence[str], settings: Settings
) -> None:
    places = steps(settings.line_points, settings.reach)
    for at, (one, title) in enumerate(zip(found, titles, strict=True)):
        color, dashes = look(at)
        axes.plot(
            places, one.line[:, 0], color=color, ls=dashes, label=literal(_on_line(one, title))
        )
    axes.set_yscale("log")
    limits = axes.get_ylim()
    ticks = _ticks(*limits)
    axes.set_yticks(list(ticks), ticks.values())
    axes.set_ylim(limits)
    axes.set_xlim(places[0], places[-1])
    axes.minorticks_off()
    axes.set_xlabel(FIRST)
    axes.set_ylabel("Loss")
    plain(axes)
    axes.figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=2)


def show(found: Sequence[Landscape], titles: Sequence[str], question: Question) -> list[UIElement]:
    """The same for a page, which says the loss and the accuracy under the pointer."""
    low, high = _limits(found)
    mapper = LogColorMapper(palette=Viridis256, low=low, high=high)
    side = steps(question.settings.points, question.settings.reach)
    width = side[1] - side[0]
    ticks = _ticks(low, high)
    planes = []
    for one, title in zip(found, titles, strict=True):
        drawn = plot(
            height=440,
            **FITS,
            title=named(title),
            x_axis_label=FIRST,
            y_axis_label=SECOND,
            match_aspect=True,
            tools="hover,save",
            tooltips=[("steps", "$x{0.00}, $y{0.00}"), *TOLD],
        )
        source = ColumnDataSource({"loss": [one.losses], "share": [one.plane[..., 1]]})
        corner, length = side[0] - width / 2, side[-1] - side[0] + width
        drawn.image("loss", corner, corner, length, length, source=source, color_mapper=mapper)
        if _has_area(one):
            losses, levels = one.losses.clip(low, high), np.geomspace(low, high, LEVELS)[1:-1:2]
            drawn.contour(side, side, losses, list(levels), line_color="white", line_alpha=0.6)
            drawn.scatter([0], [0], marker="cross", size=12, color="white")
        else:
            middle = {"text_align": "center", "text_baseline": "middle"}
            drawn.text([0], [side[-1] / 2], [NOT_FINITE], color="white", **middle)
        drawn.grid.visible = False
        scale = {"ticker": FixedTicker(ticks=list(ticks)), "major_label_overrides": ticks}
        drawn.add_layout(ColorBar(color_mapper=mapper, title="Loss", **scale), "right")
        planes.append(drawn)
    said = html.escape(_said(found, question))
    text = f"<h1>Loss around the trained weights</h1><p>{said}</p>"
    return [Div(text=text), beside(*planes), _line(found, titles, question.settings)]


def _line(found: Sequence[Landscape], titles: Sequence[str], settings: Settings) -> Any:
    drawn = plot(
        height=330 + 22 * len(found),
        sizing_mode="stretch_width",
        x_axis_label=FIRST,
        y_axis_label="Loss",
        y_axis_type="log",
        tools="hover,pan,box_zoom,reset,save",
        tooltips=[("run", "$name"), ("step", "@x{0.00}"), *TOLD],
    )
    places = steps(settings.line_points, settings.reach)
    for at, (one, title) in enumerate(zip(found, titles, strict=True)):
        color, dashes = look(at)
        source = ColumnDataSource({"x": places, "loss": one.line[:, 0], "share": one.line[:, 1]})
        label = _on_line(one, title)
        more = {"source": source, "color": color, "name": title, "legend_label": label}
        drawn.line("x", "loss", line_width=2, line_dash=dashes, **more)
        drawn.scatter("x", "loss", size=5, **more)
    drawn.xaxis.ticker = BasicTicker()
    drawn.legend.update(location="left", glyph_width=40)  # wide enough for its dashes to be seen
    drawn.add_layout(drawn.legend[0], "below")
    return drawn


def _has_area(one: Landscape) -> bool:
    """Whether more is finite than the weights themselves, which far steps leave alone."""
    return bool(np.isfinite(one.losses).sum() > 1)


def _on_line(one: Landscape, title: str) -> str:
    return title if np.isfinite(one.line[:, 0]).sum() > 1 else f"{title}, {NOT_FINITE}"


def _limits(found: Sequence[Landscape]) -> tuple[float, float]:
    """The least and the largest loss of all; they differ."""
    finite = np.concatenate([one.losses[np.isfinite(one.losses)] for one in found])
    low = max(float(finite.min(initial=np.inf)), LEAST) if len(finite) else LEAST
    high = float(finite.max(initial=0)) if len(finite) else 1.0
    return low, max(high, 1.01 * low)


def _ticks(low: float, high: float) -> dict[float, str]:
    """Losses on a logarithmic scale between two, and how they are written.

    Powers of ten; where these are few, their doubles and fivefolds as well; where the scale is
    hardly logarithmic, round numbers.
    """
    exponents = range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    if len(exponents) > 3:
        some = exponents[:: -(-len(exponents) // MOST_TICKS)]
        return {10.0**at: f"10{str(at).translate(RAISED)}" for at in some}
    powers = [10.0**at for at in range(exponents.start - 1, exponents.stop)]
    ticks = [p * factor for p in powers for factor in (1, 2, 5) if low <= p * factor <= high]
    if len(ticks) < 3:
        places = MaxNLocator(4, steps=(1, 2, 5, 10)).tick_values(low, high)
        ticks = [float(place) for place in places if low <= place <= high]
    return {tick: f"{tick:g}" for tick in ticks}


def _said(found: Sequence[Landscape], question: Question) -> str:
    which = {"train": "training", "val": "validation", "test": "test"}[question.settings.split]
    numbers = sorted({one.images for one in found})
    images = f"mean over {' or '.join(f'{number:,}' for number in numbers)} {which} images"
    return "; ".join(filter(None, (images, LENGTH, question.words)))
