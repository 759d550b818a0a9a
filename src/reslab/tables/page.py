"""A table as one interactive page, self-contained and of use offline."""

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.models import BasicTicker, ColumnDataSource, UIElement
from bokeh.plotting import figure
from bokeh.resources import INLINE
from bokeh.themes import Theme
from PIL import Image

from reslab.evaluation.palette import BOKEH_THEME, STYLE_SHEET
from reslab.files import write_atomically
from reslab.tables.columns import Chosen, as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.frames import PANELS, Series, curves, gradient_lines
from reslab.tables.publication import slug

FOREIGN = ("Model", "Pair", "paper")  # headings of what is not our runs'
TOO_WIDE = 2.0  # width over height from which on a picture has no other beside it
TEMPLATE = Path(__file__).with_name("page.html")
RANDOM = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")  # what Bokeh calls elements


def write_page(
    findings: Findings,
    path: Path,
    pictures: Sequence[Path] = (),
    analyses: Sequence[UIElement] = (),
) -> Path:
    """Writes the page: numbers say on hovering which runs they are of, curves go on and off.

    Args:
        findings: What the table came to.
        path: The page.
        pictures: PNG files that it holds below, those of one model (`<kind>-<model>.png`) together.
        analyses: What was found of its runs, parts that are tagged `analysis`.
    """
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
    plots = [*(_curves(findings, metric, title) for metric, title in PANELS), _gradients(findings)]
    content = {
        "heading": table.heading,
        "tables": tables,
        "notes": findings.notes,
        "galleries": _galleries(findings, pictures),
    }
    page = file_html(
        [*plots, *analyses],
        INLINE,
        table.heading,  # which Bokeh escapes
        template=TEMPLATE.read_text(),
        theme=Theme(json=BOKEH_THEME),
        template_variables=_escaped(content) | {"style": STYLE_SHEET.read_text()},
    )
    write_atomically(path, _repeatable(page).encode())
    return path


def _repeatable(page: str) -> str:
    """The page with numbers in its elements' names: of the same records it is the same file."""
    names: dict[str, str] = {}
    return RANDOM.sub(lambda found: names.setdefault(found[0], f"element-{len(names)}"), page)


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


def _galleries(findings: Findings, pictures: Sequence[Path]) -> list[dict[str, Any]]:
    """Pictures for the template: what all models share, then model by model."""
    galleries = {"": "All models"} | {slug(name): name for name in findings.first}
    of = {
        part: [one for one in pictures if one.stem.partition("-")[2] == part] for part in galleries
    }
    return [
        {"title": title, "pictures": [_in_place(one) for one in of[part]]}
        for part, title in galleries.items()
        if of[part]
    ]


def _in_place(picture: Path) -> dict[str, str]:
    """A PNG file as an address that holds it, so that the page needs no other file."""
    with Image.open(picture) as image:
        place = "wide" if image.width > TOO_WIDE * image.height else ""
    content = f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"
    return {"name": picture.stem, "place": place, "content": content}


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
        height=360,
        sizing_mode="stretch_width",
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
    plot.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    plot.toolbar.logo = None
    if plot.legend:
        plot.add_layout(plot.legend[0], "below")
        plot.legend.click_policy = "hide"
        plot.legend.ncols = 2
        plot.legend.orientation = "horizontal"
    return plot
