"""How gradients flow: their size from the first layer to the last, over training."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.evaluation.figures import own_style, plain, save_figure
from reslab.tables.drawing import draw_series
from reslab.tables.findings import Findings
from reslab.tables.frames import gradient_lines, norms

MOMENTS = (("at the first batch", 0.0), ("half-way", 0.5), ("after training", 1.0))


@own_style
def draw_gradients(findings: Findings, path: Path) -> Path:
    """Lines over depth at the start, in the middle and at the end: mean and range over seeds."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (title, share) in zip(panels, MOMENTS, strict=True):
        draw_series(axes, gradient_lines(findings, share))
        axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("Layer, from the image to the classifier")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(axes)
    panels[0].set_ylabel("L2 norm of the gradient")
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=5, frameon=False)
    heading = findings.table.heading
    figure.suptitle(f"{heading}: gradients of a batch (mean and range over seeds)")
    return save_figure(figure, path)


@own_style
def draw_gradient_map(findings: Findings, path: Path) -> Path:
    """Layer by epoch, a map a model, of its first seed; one scale of colors for all."""
    maps = {name: norms(run) for name, run in findings.first.items() if run.gradients is not None}
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(5.5 * columns + 1, 3.4 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    positive = np.concatenate([one.to_numpy().ravel() for one in maps.values()])
    positive = positive[np.isfinite(positive) & (positive > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (0.1, 1.0)
    scale = LogNorm(low, high)
    image = None
    for axes, (name, one) in zip(panels, maps.items(), strict=False):
        extent = (-0.5, one.columns.max() + 0.5, len(one) + 0.5, 0.5)
        image = axes.imshow(one.to_numpy(), norm=scale, aspect="auto", extent=extent)
        axes.set_title(name, loc="left", fontsize=11)
        axes.set_xlabel("Epoch (0: the first batch)")
        axes.set_ylabel("Layer")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    for axes in panels[len(maps) :]:
        axes.set_axis_off()
    assert image is not None
    figure.colorbar(image, ax=panels.tolist(), label="L2 norm of the gradient")
    figure.suptitle(f"{findings.table.heading} (first seed)")
    return save_figure(figure, path)
