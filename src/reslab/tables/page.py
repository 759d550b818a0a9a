"""A table as one interactive page, self-contained and of use offline."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.layouts import column, gridplot
from bokeh.models import ColumnDataSource, Div, UIElement
from bokeh.plotting import figure
from bokeh.resources import INLINE

from reslab.files import write_atomically
from reslab.tables.columns import Chosen, as_text, choose, choose_of_pairs
from reslab.tables.figures import PANELS, over_seeds
from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.gradients import over_layers
from reslab.tables.plan import Table
from reslab.tables.styles import styled

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
    plots: list[Any] = [_curves(table, done, key, title) for key, title in PANELS]
    plots.append(_gradients(table, done))
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


def _names(runs: list[FinishedRun]) -> str:
    return ", ".join(run.cell.directory.name for run in runs)


def _curves(table: Table, done: list[FinishedRun], key: str, title: str) -> UIElement:
    plot = figure(
        width=640,
        height=340,
        title=title,
        x_axis_label="Epoch",
        y_axis_type="log" if key.endswith("loss") else "linear",
        tools="hover,pan,wheel_zoom,box_zoom,reset,save",
        tooltips=[
            ("model", "@model"),
            ("epoch", "@epoch"),
            ("mean", "@mean{0.000}"),
            ("range", "@min{0.000} to @max{0.000}"),
            ("runs", "@runs"),
        ],
        name=key,
    )
    for row, style in styled(table.publication.rows):
        mine = [run for run in done if run.cell.row == row]
        if not mine:
            continue
        values = over_seeds(mine, key).reset_index().assign(model=row.name, runs=_names(mine))
        _line(plot, row.name, values, "epoch", style)
    return _finished(plot)


def _gradients(table: Table, done: list[FinishedRun]) -> UIElement:
    """The last epoch's norms over depth."""
    plot = figure(
        width=640,
        height=340,
        title="L2 norm of the gradient, layer by layer, after training",
        x_axis_label="Layer, from the image to the classifier",
        y_axis_type="log",
        tools="hover,pan,wheel_zoom,box_zoom,reset,save",
        tooltips=[
            ("model", "@model"),
            ("layer", "@layer"),
            ("norm", "@mean"),
            ("runs", "@runs"),
        ],
        name="gradients",
    )
    for row, style in styled(table.publication.rows):
        mine = [one for one in done if one.cell.row == row and one.gradients is not None]
        if mine:
            frame = over_layers(mine, 1.0).reset_index().assign(model=row.name, runs=_names(mine))
            _line(plot, row.name, frame.assign(depth=np.arange(1, len(frame) + 1)), "depth", style)
    return _finished(plot)


def _line(plot: Any, name: str, frame: pd.DataFrame, x: str, style: dict[str, str]) -> None:
    source = ColumnDataSource(frame)
    dash = "dashed" if style["ls"] == "--" else "solid"
    color = style["color"]
    plot.varea(x, "min", "max", source=source, color=color, alpha=0.15, legend_label=name)
    plot.line(
        x, "mean", source=source, color=color, line_dash=dash, line_width=2, legend_label=name
    )
    plot.scatter(x, "mean", source=source, color=color, size=5, legend_label=name)


def _finished(plot: Any) -> UIElement:
    if plot.legend:
        plot.add_layout(plot.legend[0], "right")
        plot.legend.click_policy = "hide"
    return plot
