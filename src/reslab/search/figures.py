"""Pictures of a search."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.evaluation.palette import BLUE, ORANGE
from reslab.search.frames import best_so_far, by_state
from reslab.search.plan import Search


@own_style
def draw_history(search: Search, rows: list[dict[str, Any]], path: Path) -> Path:
    """What each trial came to, and the best until then."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    done, pruned = by_state(rows)
    axes.scatter(done["number"], done["value"], s=24, color=BLUE, label="trained to the end")
    if len(pruned):
        places = pruned["number"], pruned["value"]
        axes.scatter(*places, s=24, marker="x", color=ORANGE, label="pruned")
    line = best_so_far(rows, search.maximizes)
    axes.step(line["number"], line["value"], where="post", color="black", lw=1.2, label="best")
    axes.set_xlabel("Trial")
    axes.set_ylabel(search.monitor)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if search.monitor.endswith("accuracy"):
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    plain(axes)
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    figure.suptitle(literal(search.name), x=0.02, ha="left")
    return save_figure(figure, path)


@own_style
def draw_importances(search: Search, importances: dict[str, float], path: Path) -> Path:
    """How much each key matters, the most at the top."""
    figure = Figure(figsize=(8, 1.2 + 0.4 * len(importances)), layout="constrained")
    axes = figure.subplots()
    names = list(reversed(importances))
    axes.barh([literal(name) for name in names], [importances[name] for name in names], color=BLUE)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel(f"Share of the differences in {search.monitor} that it explains (fANOVA)")
    plain(axes)
    return save_figure(figure, path)
