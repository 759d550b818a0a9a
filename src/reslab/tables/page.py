"""A table as one interactive page, self-contained and of use offline."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.layouts import column, gridplot
from bokeh.models import ColumnDataSource, Div, UIElement
from bokeh.plotting import figure
from bokeh.resources import INLINE

from reslab.files import write_atomically
from reslab.tables.columns import Chosen, as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.frames import PANELS, Series, curves, gradient_lines

FOREIGN = ("Model", "Pair", "paper")  # headings of what is not our runs'
FONT = {"font-family": "sans-serif"}
STYLE = """
<style>
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
td[title] { cursor: help; text-decoration: underline dotted #888 }
</style>
"""


def write_page(findings: Findings, path: Path) -> Path:
    """Writes the page: numbers say on hovering which runs they are of, curves go on and off."""
    table, lines, pairs = findings.table, findings.lines, findings.pairs
    done = findings.done
    behind_lines = [[one for one in done if one.cell.row.name == line["model"]] for line in lines]
    parts = [
        f"<h1>{html.escape(table.heading)}</h1>",
        _table(
            choose(lines, table.publication.columns), [_provenance(runs) for runs in behind_lines]
        ),
    ]
    if pairs:
        behind_pairs = [
            [
                one
                for one in done
                if one.cell.row.name in (pair.first, pair.second) and one.cell.seed in pair.seeds
            ]
            for pair in pairs
        ]
        parts.append("<h2>Differences on the same test images</h2>")
        titles = [_provenance(runs) for runs in behind_pairs]
        parts.append(_table(choose_of_pairs(pairs), titles))
    items = "".join(f"<li>{html.escape(note)}</li>" for note in findings.notes)
    parts += [f"<ul>{items}</ul>", "<p>Click a name in a legend to hide or show its curves.</p>"]
    text = Div(text=STYLE + "".join(parts), styles=FONT, width=1300, name="table")
    plots: list[Any] = [_curves(findings, metric, title) for metric, title in PANELS]
    plots.append(_gradients(findings))
    page = column(text, gridplot(plots, ncols=2, toolbar_location="right"), name="page")
    write_atomically(path, file_html(page, INLINE, table.heading).encode())
    return path


def _table(chosen: Chosen, titles: Sequence[str]) -> str:
    """An HTML table; `titles` are what the numbers of each row say on hovering."""
    headings, rows = as_text(chosen)
    head = "".join(f"<th>{html.escape(text)}</th>" for text in headings)
    body = []
    for at, row in enumerate(rows):
        title = f' title="{html.escape(titles[at])}"' if titles[at] else ""
        cells = [
            f"<td{title if text and heading not in FOREIGN else ''}>{html.escape(text)}</td>"
            for heading, text in zip(headings, row, strict=True)
        ]
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><tr>{head}</tr>{''.join(body)}</table>"


def _provenance(runs: list[FinishedRun]) -> str:
    """The runs behind numbers: seed, result, commit, hardware, overrides."""
    texts = []
    for run in runs:
        record, origin = run.record, run.record.provenance
        texts.append(
            f"{run.cell.directory.name} ({record.identity}): seed {record.seed}, "
            f"{record.test_accuracy:.2%}, {record.finished}\n"
            f"  commit {origin.git or 'unknown'}\n"
            f"  {origin.hardware}, {origin.precision}, {origin.threads} threads\n"
            f"  {' '.join(record.overrides)}"
        )
    return "\n".join(texts)


def _curves(findings: Findings, metric: str, title: str) -> UIElement:
    scale = "log" if metric.endswith("loss") else "linear"
    plot = _plot(
        metric,
        title,
        "Epoch",
        scale,
        ("epoch", "@x"),
        ("mean", "@mean{0.000}"),
        ("range", "@min{0.000} to @max{0.000}"),
    )
    return _drawn(plot, curves(findings, metric))


def _gradients(findings: Findings) -> UIElement:
    """The last epoch's norms over depth."""
    title = "L2 norm of the gradient, layer by layer, after training"
    below = "Layer, from the image to the classifier"
    plot = _plot("gradients", title, below, "log", ("layer", "@layer"), ("norm", "@mean"))
    return _drawn(plot, gradient_lines(findings, 1.0))


def _plot(name: str, title: str, below: str, scale: str, *said: tuple[str, str]) -> Any:
    """An empty plot; `said` is what it says on hovering, besides the model and its runs."""
    return figure(
        name=name,
        title=title,
        x_axis_label=below,
        y_axis_type=scale,
        width=640,
        height=340,
        tools="hover,pan,wheel_zoom,box_zoom,reset,save",
        tooltips=[("model", "@model"), *said, ("runs", "@runs")],
    )


def _drawn(plot: Any, series: list[Series]) -> UIElement:
    for one in series:
        runs = ", ".join(run.cell.directory.name for run in one.runs)
        source = ColumnDataSource(one.frame.assign(model=one.row.name, runs=runs))
        kind = {"source": source, "color": one.style["color"], "legend_label": one.row.name}
        dash = "dashed" if one.style["ls"] == "--" else "solid"
        plot.varea("x", "min", "max", alpha=0.15, **kind)
        plot.line("x", "mean", line_dash=dash, line_width=2, **kind)
        plot.scatter("x", "mean", size=5, **kind)
    if plot.legend:
        plot.add_layout(plot.legend[0], "right")
        plot.legend.click_policy = "hide"
    return plot
