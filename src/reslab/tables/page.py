"""A table as one interactive page, self-contained and of use offline."""

from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.models import BasicTicker, ColumnDataSource, UIElement
from bokeh.plotting import figure
from bokeh.resources import INLINE

from reslab.files import write_atomically
from reslab.tables.columns import Chosen, as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.frames import PANELS, Series, curves, gradient_lines
from reslab.tables.styles import styled

FOREIGN = ("Model", "Pair", "paper")  # headings of what is not our runs'
TEMPLATE = Path(__file__).with_name("page.html")
DASHES = {"-": "solid", "--": "dashed"}  # matplotlib's name to everyone else's
TOOLTIP = "max-width: min(16rem, 36vw); overflow-wrap: anywhere"  # of half a plot on a phone
GRADIENTS = "L2 norm of the gradient, layer by layer, after training"


def write_page(findings: Findings, path: Path) -> Path:
    """Writes the page: numbers say on hovering which runs they are of, curves go on and off."""
    table, done = findings.table, findings.done
    behind_lines = [
        [run for run in done if run.cell.row.name == line["model"]] for line in findings.lines
    ]
    chosen = choose(findings.lines, table.publication.columns)
    tables = [_table("", chosen, behind_lines)]
    if pairs := findings.pairs:
        behind_pairs = [
            [
                run
                for run in done
                if run.cell.row.name in (pair.first, pair.second) and run.cell.seed in pair.seeds
            ]
            for pair in pairs
        ]
        title = "Differences on the same test images"
        tables.append(_table(title, choose_of_pairs(pairs), behind_pairs))
    variables = {
        "tables": tables,
        "notes": findings.notes,
        "models": [
            {"name": row.name, "color": style["color"], "dash": DASHES[style["ls"]]}
            for row, style in styled(table.publication.rows)
            if row.name in findings.first
        ],
        "plots": [*(title for _, title in PANELS), GRADIENTS],
        "runs": [f"{run.cell.row.name}: {_provenance([run])}" for run in done],
    }
    plots = [*(_curves(findings, metric) for metric, _ in PANELS), _gradients(findings)]
    page = file_html(
        plots,
        INLINE,
        table.heading,
        template=TEMPLATE.read_text(),
        template_variables=variables,
    )
    write_atomically(path, page.encode())
    return path


def _table(title: str, chosen: Chosen, behind: list[list[FinishedRun]]) -> dict[str, Any]:
    """A table with what its numbers say on hovering: the runs behind each of its rows."""
    headings, texts = as_text(chosen)
    rows = []
    for row, runs in zip(texts, behind, strict=True):
        said = _provenance(runs)
        cells = zip(headings, row, strict=True)
        rows.append(
            [{"text": t, "said": said if t and name not in FOREIGN else ""} for name, t in cells]
        )
    return {"title": title, "headings": headings, "rows": rows}


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


def _curves(findings: Findings, metric: str) -> UIElement:
    scale = "log" if metric.endswith("loss") else "linear"
    said = {"epoch": "@x", "mean": "@mean{0.000}", "range": "@min{0.000} to @max{0.000}"}
    return _drawn(_plot(metric, "Epoch", scale, said), curves(findings, metric))


def _gradients(findings: Findings) -> UIElement:
    """The last epoch's norms over depth."""
    below, said = "Layer, from the image to the classifier", {"layer": "@layer", "norm": "@mean"}
    return _drawn(_plot("gradients", below, "log", said), gradient_lines(findings, 1.0))


def _plot(name: str, below: str, scale: str, said: dict[str, str]) -> Any:
    """An empty plot; `said` is what it says on hovering, besides the model and its runs."""
    lines = "".join(f"<br>{key}: {field}" for key, field in (said | {"runs": "@runs"}).items())
    text = f'<div style="{TOOLTIP}"><b>@model</b>{lines}</div>'
    plot = figure(
        name=name,
        x_axis_label=below,
        y_axis_type=scale,
        sizing_mode="stretch_width",
        height=320,
        min_width=200,
        tools="hover,pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,  # a finger moves the page
        tooltips=text,
        toolbar_location="above",
    )
    plot.toolbar.autohide, plot.toolbar.logo = True, None
    plot.xaxis.ticker = BasicTicker(min_interval=1)
    return plot


def _drawn(plot: Any, series: list[Series]) -> UIElement:
    for one in series:
        runs = ", ".join(run.cell.directory.name for run in one.runs)
        source = ColumnDataSource(one.frame.assign(model=one.row.name, runs=runs))
        kind = {"source": source, "color": one.style["color"], "name": one.row.name}
        plot.varea("x", "min", "max", alpha=0.15, **kind)
        plot.line("x", "mean", line_dash=DASHES[one.style["ls"]], line_width=2, **kind)
        plot.scatter("x", "mean", size=5, **kind)
    return plot
