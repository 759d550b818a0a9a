"""Pictures of a table's runs."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import DictConfig

from reslab.analysis.diagram import draw_network
from reslab.errors import UserError
from reslab.evaluation.figures import (
    draw_confusion,
    draw_per_class,
    draw_reliability,
    own_style,
    plain,
    save_figure,
)
from reslab.evaluation.metrics import summarize
from reslab.evaluation.palette import BLUE, COLORS
from reslab.reporter import SILENT, Reporter
from reslab.runs.check import try_network
from reslab.runs.network import build_network
from reslab.tables.drawing import draw_series
from reslab.tables.findings import Findings
from reslab.tables.frames import PANELS, curves
from reslab.tables.gradients import draw_gradient_map, draw_gradients
from reslab.tables.publication import slug
from reslab.tables.styles import styled


def draw_all(
    findings: Findings, folder: Path, reporter: Reporter = SILENT
) -> tuple[list[str], list[str]]:
    """Every picture of a table, each as PNG and as PDF.

    Pictures of one model are of its first finished seed, and `<kind>-<model>` is their name.

    Returns:
        The names of those that were drawn, and a line for each that could not be.
    """
    folder.mkdir(exist_ok=True)
    pictures = [*_of_all(findings), *_of_each(findings)]
    names, lacking = [], []
    with reporter.progress(len(pictures), " pictures") as drawn:
        for name, draw in pictures:
            try:
                draw(folder / name)
                names.append(name)
            except UserError as error:  # a network of the user's that takes its ways
                lacking.append(f"{name} could not be drawn: {error}")
            drawn()
    return names, lacking


Picture = tuple[str, Callable[[Path], object]]
"""A picture's name, and what draws it to a path of that name."""


def _of_all(findings: Findings) -> Iterator[Picture]:
    """What all models share."""
    table, first = findings.table, findings.first
    yield "curves", partial(draw_curves, findings)
    yield "schedule", partial(draw_schedule, findings)
    yield "costs", partial(draw_costs, findings)
    predictions = {name: run.predictions for name, run in first.items()}
    styles = [style for row, style in styled(table.publication.rows) if row.name in first]
    title = f"{table.heading} (first seed)"
    yield "reliability", lambda path: draw_reliability(predictions, title, path, styles)
    if any(row.depth for row in table.publication.rows):
        yield "depth", partial(draw_depth, findings)
    if any(run.gradients is not None for run in first.values()):
        yield "gradients", partial(draw_gradients, findings)
        yield "gradient_map", partial(draw_gradient_map, findings)


def _of_each(findings: Findings) -> Iterator[Picture]:
    """What each model has of its own."""
    scale = " (quick scale)" if findings.table.quick else ""
    for name, run in findings.first.items():
        part, title = slug(name), f"{name}, seed {run.cell.seed}, on {run.cell.dataset}{scale}"
        yield f"confusion-{part}", partial(draw_confusion, run.predictions, title)
        yield f"per_class-{part}", partial(draw_per_class, summarize(run.predictions, 0.5), title)
        yield f"network-{part}", partial(_draw_network, run.cfg)


def _draw_network(cfg: DictConfig, path: Path) -> None:
    network = build_network(cfg)
    draw_network(network, try_network(cfg, network), path)


@own_style
def draw_schedule(findings: Findings, path: Path) -> Path:
    """The learning rate with which each epoch ended its training, of each model's first seed."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for row, style in styled(findings.table.publication.rows):
        if row.name in findings.first:
            history = findings.first[row.name].history
            axes.step(history["epoch"], history["lr"], where="mid", label=row.name, **style)
    axes.set_yscale("log")
    axes.set_xlabel("Epoch")
    axes.set_title("Learning rate", loc="left", fontsize=11)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)
    axes.legend(frameon=False)
    figure.suptitle(findings.table.heading)
    return save_figure(figure, path)


@own_style
def draw_costs(findings: Findings, path: Path) -> Path:
    """Minutes of training and peak memory, a bar a model, mean over seeds."""
    done = [line for line in findings.lines if line["n"]]
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(done)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, title, form in (
        (panels[0], "minutes", "Training, minutes", "{:,.3g}"),
        (panels[1], "memory", "Peak memory, MiB", "{:,.0f}"),
    ):
        values = [line[key] or 0.0 for line in done]
        bars = axes.barh([line["model"] for line in done], values, color=BLUE)
        starred = "*" if key == "minutes" else ""
        labels = [
            form.format(value) + ("" if line["alone"] else starred)
            for line, value in zip(done, values, strict=True)
        ]
        axes.bar_label(bars, labels, padding=3, fontsize=9)
        axes.margins(x=0.15)
        axes.set_title(title, loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].invert_yaxis()
    star = "" if all(line["alone"] for line in done) else "; * beside other work"
    hardware = " / ".join(sorted({line["hardware"] for line in done}))
    figure.suptitle(f"{findings.table.heading}\n{hardware}{star}", fontsize=10)
    return save_figure(figure, path)


@own_style
def draw_curves(findings: Findings, path: Path) -> Path:
    """Accuracy and loss over epochs: a line is the mean over seeds, a band their range."""
    table = findings.table
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    comparable = table.dataset == table.published_dataset and not table.quick
    for axes, (metric, title) in zip(panels, PANELS, strict=True):
        series = curves(findings, metric)
        draw_series(axes, series)
        known = [(one.row.published.get("accuracy"), one.style["color"]) for one in series]
        known = [(value, color) for value, color in known if isinstance(value, int | float)]
        note = ""
        if metric == "val/accuracy" and comparable and known:
            note = " (dotted: the paper's on test)"
            for value, color in known:
                axes.axhline(value, color=color, ls=":", lw=1)
        axes.set_title(title + note, loc="left", fontsize=11)
        plain(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if metric.endswith("loss"):
            axes.set_yscale("log")
            axes.set_xlabel("Epoch")
    counts = [len(one.runs) for one in series]
    names = panels[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=min(5, len(counts)), frameon=False)
    seeds = f"n = {min(counts)}" + (f" to {max(counts)}" if max(counts) != min(counts) else "")
    figure.suptitle(f"{table.heading} (mean and range over seeds, {seeds})")
    return save_figure(figure, path)


@own_style
def draw_depth(findings: Findings, path: Path) -> Path:
    """Test accuracy over the networks' depth, a line a family; bars are the spread over seeds."""
    table, lines = findings.table, findings.lines
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = list(zip(table.publication.rows, lines, strict=True))
    for family, color in zip(
        dict.fromkeys(row.family for row in table.publication.rows), COLORS, strict=False
    ):
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
            if row.family == family and isinstance(line["published_accuracy"], int | float)
        )
        if known and table.dataset == table.published_dataset:
            axes.plot(*zip(*known, strict=True), color=color, ls=":", marker="x", label="paper")
    axes.set_xticks(sorted({row.depth for row in table.publication.rows if row.depth}))
    axes.set_xlabel("Depth (layers)")
    axes.set_title("Test accuracy, %", loc="left", fontsize=11)
    plain(axes)
    axes.legend(frameon=False)
    counts = sorted({line["n"] for line in lines if line["n"]})
    seeds = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))
    figure.suptitle(f"{table.heading} (mean ± std over seeds, n = {seeds})")
    return save_figure(figure, path)
