"""Pictures of a table's runs."""

import io
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reslab.files import write_atomically
from reslab.tables.collect import Result
from reslab.tables.spec import Table

# Okabe & Ito's colours, distinct also to the colour-blind.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

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
    for row, color in zip(table.rows, COLORS, strict=False):
        mine = [r for r in results if r.cell.row == row and r.record]
        if not mine:
            continue
        counts.append(len(mine))
        history = pd.concat(pd.read_csv(r.cell.directory.metrics_file) for r in mine)
        for axes, (column, _) in zip(panels, PANELS, strict=True):
            scale = 100 if column.endswith("accuracy") else 1
            values = scale * history.groupby("epoch")[column].agg(["mean", "min", "max"])
            epochs = values.index
            axes.plot(epochs, values["mean"], color=color, label=row.name, marker=".")
            axes.fill_between(epochs, values["min"], values["max"], color=color, alpha=0.15, lw=0)
    for axes, (column, title) in zip(panels, PANELS, strict=True):
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if column.endswith("loss"):
            axes.set_yscale("log")
            axes.set_xlabel("Epoch")
    panels[0].legend(frameon=False, loc="lower right")
    seeds = f"n = {min(counts)}" + (f" to {max(counts)}" if max(counts) != min(counts) else "")
    figure.suptitle(f"{table.title}, on {table.dataset} (mean and range over seeds, {seeds})")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=150, format="png")
    write_atomically(path, buffer.getbuffer())
    return path
