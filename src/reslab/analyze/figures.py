"""Pictures of what was found, of several runs on one scale."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from reslab.analysis.landscape import steps
from reslab.analyze.landscape import Landscape, Settings
from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.evaluation.palette import COLORS

LEVELS = 24
MOST_ABREAST = 3


@own_style
def draw_landscapes(
    found: Sequence[Landscape], names: Sequence[str], settings: Settings, path: Path
) -> Path:
    """Contours of the loss in the plane, a panel a run, and below them along one direction.

    Args:
        found: The landscapes.
        names: What each is called.
        settings: What was asked for.
        path: The file without its ending: PNG and PDF are written.
    """
    columns = min(len(found), MOST_ABREAST)
    rows = -(-len(found) // columns)
    width = max(3.6 * columns + 1.2, 7)
    figure = Figure(figsize=(width, 3.4 * rows + 3.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3.4 * rows, 3.2))
    panels = above.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    planes = [np.ma.masked_invalid(one.plane[..., 0]) for one in found]
    low, high = min(one.min() for one in planes), max(one.max() for one in planes)
    levels = np.geomspace(max(low, 1e-6), max(high, 1e-5), LEVELS)
    side = steps(settings.points, settings.reach)
    for axes, plane, name in zip(panels, planes, names, strict=False):
        shades = axes.contourf(
            side, side, plane.clip(levels[0]), levels, norm=LogNorm(), cmap="viridis"
        )
        axes.contour(side, side, plane, levels[::2], colors="white", linewidths=0.5, alpha=0.6)
        axes.plot(0, 0, marker="+", color="white", ms=9)
        axes.set_aspect("equal")
        axes.set_title(literal(name), loc="left", fontsize=10)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    form = LogFormatter(minor_thresholds=(2, 0.5))
    bar = above.colorbar(shades, ax=panels.tolist(), shrink=0.85, format=form)
    bar.set_label("Loss")
    axes = below.subplots()
    for at, (one, name) in enumerate(zip(found, names, strict=True)):
        places = steps(settings.line_points, settings.reach)
        axes.plot(places, one.line[:, 0], color=COLORS[at % len(COLORS)], label=literal(name))
    axes.set_yscale("log")
    axes.set_xlabel("Steps along the first direction, each as long as the filters are")
    axes.set_ylabel("Loss")
    axes.legend(frameon=False, fontsize=9)
    plain(axes)
    figure.suptitle(
        f"Loss of {settings.images:,} {settings.split} images around the trained weights"
    )
    return save_figure(figure, path)
