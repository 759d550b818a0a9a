"""Pictures of a table's runs."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.evaluation.figures import save_figure
from reslab.evaluation.palette import COLORS
from reslab.tables.collect import Result
from reslab.tables.columns import Line
from reslab.tables.spec import Table

PANELS = (
    ("train/accuracy", "Training accuracy, %"),
    ("val/accuracy", "Validation accuracy, %"),
    ("train/loss", "Training loss"),
    ("val/loss", "Validation loss"),
)


def draw_curves(table: Table, results: list[Result], path: Path) -> Path:
    """Accuracy and loss over epochs: a line is the mean over seeds, a band their range."""
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    counts = []
    for row, style in zip(table.rows, _styles(table), strict=True):
        mine = [r for r in results if r.cell.row == row and r.record]
        if not mine:
            continue
        counts.append(len(mine))
        history = pd.concat(pd.read_csv(r.cell.directory.metrics_file) for r in mine)
        for axes, (column, _) in zip(panels, PANELS, strict=True):
            scale = 100 if column.endswith("accuracy") else 1
            values = scale * history.groupby("epoch")[column].agg(["mean", "min", "max"])
            epochs = values.index
            axes.plot(epochs, values["mean"], **style, label=row.name, lw=1.5, marker=".", ms=4)
            band = {"color": style["color"], "alpha": 0.15, "lw": 0}
            axes.fill_between(epochs, values["min"], values["max"], **band)
    for axes, (column, title) in zip(panels, PANELS, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if column.endswith("loss"):
            axes.set_yscale("log")
            axes.set_xlabel("Epoch")
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=min(5, len(counts)), frameon=False)
    seeds = f"n = {min(counts)}" + (f" to {max(counts)}" if max(counts) != min(counts) else "")
    figure.suptitle(f"{table.title}, on {table.dataset} (mean and range over seeds, {seeds})")
    return save_figure(figure, path)


def draw_depth(table: Table, lines: list[Line], path: Path) -> Path:
    """Test accuracy over the networks' depth, a line a family; bars are the spread over seeds."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = list(zip(table.rows, lines, strict=True))
    for family, color in zip(dict.fromkeys(row.family for row in table.rows), COLORS, strict=False):
        mine = sorted(
            (row.depth, line["accuracy"], line["std"] or 0.0)
            for row, line in rows
            if row.family == family and line["n"]
        )
        if mine:
            depths, means, spreads = zip(*mine, strict=True)
            axes.errorbar(depths, means, spreads, color=color, marker="o", capsize=3, label=family)
        known = sorted(
            (row.depth, line["published_accuracy"])
            for row, line in rows
            if row.family == family and line["published_accuracy"] is not None
        )
        if known and table.dataset == table.published_dataset:
            axes.plot(*zip(*known, strict=True), color=color, ls=":", marker="x", label="paper")
    axes.set_xticks(sorted({row.depth for row in table.rows if row.depth}))
    axes.set_xlabel("Depth (layers)")
    axes.set_title("Test accuracy, %", loc="left", fontsize=11)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    counts = sorted({line["n"] for line in lines if line["n"]})
    seeds = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    figure.suptitle(f"{table.title}, on {table.dataset} (mean ± std over seeds, n = {seeds})")
    return save_figure(figure, path)


def _styles(table: Table) -> list[dict[str, str]]:
    """A line style for each row: of its own color, or of its depth's, dashed for the first family.

    The first family is the plain one, so that solid lines are those with shortcuts.
    """
    if not any(row.depth for row in table.rows):
        return [
            {"color": COLORS[i % len(COLORS)], "ls": "-" if i < len(COLORS) else "--"}
            for i in range(len(table.rows))
        ]
    depths = sorted({row.depth for row in table.rows if row.depth is not None})
    families = list(dict.fromkeys(row.family for row in table.rows))
    return [
        {
            "color": COLORS[depths.index(row.depth or depths[0]) % len(COLORS)],
            "ls": "--" if families.index(row.family) == 0 and len(families) > 1 else "-",
        }
        for row in table.rows
    ]
