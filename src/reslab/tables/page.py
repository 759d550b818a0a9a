"""A table as one interactive page, self-contained and of use offline."""

import html
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.embed import file_html
from bokeh.models import BasicTicker, ColumnDataSource, UIElement
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
TEMPLATE = Path(__file__).with_name("page.html")


def write_page(findings: Findings, path: Path) -> Path:
    """Writes the page: numbers say on hovering which runs they are of, curves go on and off."""
    table, lines, pairs, done = findings.table, findings.lines, findings.pairs, findings.done
    behind_lines = [[one for one in done if one.cell.row.name == line["model"]] for line in lines]
    tables = [_table("", choose(lines, table.publication.columns), behind_lines)]
    if pairs:
        behind_pairs = [
            [
                one
                for one in done
                if one.cell.row.name in (pair.first, pair.second) and one.cell.seed in pair.seeds
            ]
            for pair in pairs
        ]
        title = "Differences on the same test images"
        tables.append(_table(title, choose_of_pairs(pairs), behind_pairs))
    plots = [*(_curves(table, done, key, title) for key, title in PANELS), _gradients(table, done)]
    content = {"heading": table.heading, "tables": tables, "notes": findings.notes}
    page = file_html(
        plots,
        INLINE,
        html.escape(table.heading),
        template=TEMPLATE.read_text(),
        template_variables=_escaped(content),
    )
    write_atomically(path, page.encode())
    return path


def _table(title: str, chosen: Chosen, behind: list[list[FinishedRun]]) -> dict[str, Any]:
    """A table for the template: of each cell its text and, of our numbers, the runs behind it."""
    headings, rows = as_text(chosen)
    cells = []
    for row, runs in zip(rows, behind, strict=True):
        origin = _provenance(runs)
        cells.append(
            [
                (text, origin if text and heading not in FOREIGN else "")
                for heading, text in zip(headings, row, strict=True)
            ]
        )
    return {"title": title, "headings": headings, "rows": cells}


def _escaped(content: Any) -> Any:
    """Every text in it as HTML, for Bokeh's templates do not escape."""
    if isinstance(content, dict):
        return {key: _escaped(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_escaped(value) for value in content]
    return html.escape(content)


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
        height=360,
        sizing_mode="stretch_width",
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
        height=360,
        sizing_mode="stretch_width",
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
    plot.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    if plot.legend:
        plot.add_layout(plot.legend[0], "below")
        plot.legend.click_policy = "hide"
        plot.legend.ncols = 2
        plot.legend.orientation = "horizontal"
        plot.legend.border_line_color = None
        plot.legend.label_text_font_size = "11px"
    return plot
