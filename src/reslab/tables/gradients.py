"""How gradients flow: their size from the first layer to the last, over training."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.evaluation.figures import plain, save_figure
from reslab.tables.finished import FinishedRun
from reslab.tables.plan import Table
from reslab.tables.styles import styled


def norms(run: FinishedRun) -> pd.DataFrame:
    """L2 norms of a run, a row a layer of the main path from the image on, a column an epoch.

    Epoch 0 is the first batch. Layers on a skip are left out, so that networks with and without
    skips have the same rows.
    """
    assert run.gradients is not None
    frame = run.gradients[~run.gradients["layer"].str.contains(r"\bjoin\b")]
    order = frame["layer"].drop_duplicates()
    return frame.pivot(index="layer", columns="epoch", values="norm").loc[order]


def over_layers(runs: list[FinishedRun], share: float) -> pd.DataFrame:
    """Mean, min and max of the norms after a share of each run's epochs, by layer.

    Layers that not all of them have are left out.
    """
    tables = [norms(run) for run in runs]
    moments = [one[round(share * one.columns.max())] for one in tables]
    values = pd.concat(moments, axis=1, join="inner")
    return pd.DataFrame({"mean": values.mean(1), "min": values.min(1), "max": values.max(1)})


def draw_gradients(table: Table, runs: list[FinishedRun], path: Path) -> Path:
    """Lines over depth at the start, in the middle and at the end: mean and range over seeds."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    moments = (("at the first batch", 0.0), ("half-way", 0.5), ("after training", 1.0))
    for row, style in styled(table.publication.rows):
        mine = [run for run in runs if run.cell.row == row and run.gradients is not None]
        if not mine:
            continue
        for axes, (_, share) in zip(panels, moments, strict=True):
            values = over_layers(mine, share)
            depth = np.arange(1, len(values) + 1)
            axes.plot(depth, values["mean"], **style, label=row.name, lw=1.5, marker=".", ms=5)
            band = {"color": style["color"], "alpha": 0.15, "lw": 0}
            axes.fill_between(depth, values["min"], values["max"], **band)
    for axes, (title, _) in zip(panels, moments, strict=True):
        axes.set_yscale("log")
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xlabel("Layer, from the image to the classifier")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        plain(axes)
    panels[0].set_ylabel("L2 norm of the gradient")
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=5, frameon=False)
    figure.suptitle(f"{table.heading}: gradients of a batch (mean and range over seeds)")
    return save_figure(figure, path)


def draw_gradient_map(table: Table, first: dict[str, FinishedRun], path: Path) -> Path:
    """Layer by epoch, a map a model, of its first seed; one scale of colors for all."""
    maps = {
        row.name: norms(first[row.name])
        for row in table.publication.rows
        if row.name in first and first[row.name].gradients is not None
    }
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(5.5 * columns + 1, 3.4 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    positive = np.concatenate([one.to_numpy().ravel() for one in maps.values()])
    positive = positive[np.isfinite(positive) & (positive > 0)]
    scale = LogNorm(positive.min(), positive.max())
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
    figure.suptitle(f"{table.heading} (first seed)")
    return save_figure(figure, path)
