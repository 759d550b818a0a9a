"""A search as one interactive page, self-contained and of use offline."""

import html
from pathlib import Path
from typing import Any

from bokeh.models import ColumnDataSource, DataTable, Div, NumeralTickFormatter, TableColumn
from bokeh.plotting import figure

from reslab.evaluation.palette import BLUE, GRAY, ORANGE
from reslab.reports import layout
from reslab.reports.layout import FITS, beside
from reslab.search.frames import best_so_far, by_state
from reslab.search.plan import Search

SHOWN = ("number", "state", "value", "epochs", "run", "reason")


def write_page(
    search: Search,
    rows: list[dict[str, Any]],
    importances: dict[str, float],
    command: str | None,
    path: Path,
) -> Path:
    """Writes the page: the trials over time, what matters, and all of them in a table."""
    said = f"<p>The best one: <code>{html.escape(command)}</code></p>" if command else ""
    plots = [_history(search, rows), *([_importances(importances)] if importances else [])]
    heading = Div(text=f"<h1>{html.escape(search.name)}</h1>{said}")
    parts = (heading, beside(*plots), _table(rows))
    return layout.write_page(path, search.name, *parts, name="search")


def _history(search: Search, rows: list[dict[str, Any]]) -> Any:
    plot = figure(
        height=360,
        **FITS,
        title=search.monitor,
        x_axis_label="Trial",
        tools="hover,pan,box_zoom,reset,save",
        tooltips=[
            ("trial", "@number"),
            (search.monitor, "@value{0.0000}"),
            ("epochs", "@epochs"),
            ("chosen", "@chosen"),
            ("run", "@run"),
        ],
    )
    kinds = {"trained to the end": (BLUE, "circle"), "pruned": (ORANGE, "x")}
    for frame, (name, (color, marker)) in zip(by_state(rows), kinds.items(), strict=True):
        if len(frame):
            source = ColumnDataSource(frame)
            look = {"color": color, "marker": marker, "size": 8, "legend_label": name}
            plot.scatter("number", "value", source=source, **look)
    line = best_so_far(rows, search.maximizes)
    plot.step(line["number"], line["value"], mode="after", color=GRAY, legend_label="best")
    if search.monitor.endswith("accuracy"):
        plot.yaxis.formatter = NumeralTickFormatter(format="0.0%")
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
    return plot


def _importances(importances: dict[str, float]) -> Any:
    names = list(reversed(importances))
    source = ColumnDataSource({"key": names, "share": [importances[name] for name in names]})
    plot = figure(
        height=360,
        **FITS,
        title="What explains the differences (fANOVA)",
        y_range=names,
        x_range=(0, 1),
        tools="hover,save",
        tooltips=[("", "@key"), ("share", "@share{0.0%}")],
    )
    plot.hbar("key", 0.6, "share", source=source, color=BLUE)
    plot.xaxis.formatter = NumeralTickFormatter(format="0%")
    return plot


def _table(rows: list[dict[str, Any]]) -> Any:
    keys = list(dict.fromkeys(key for row in rows for key in row["chosen"]))
    data = {name: [_shown(row[name]) for row in rows] for name in SHOWN}
    data |= {f"chosen {key}": [_shown(row["chosen"].get(key)) for row in rows] for key in keys}
    columns = [TableColumn(field=name, title=name.removeprefix("chosen ")) for name in data]
    return DataTable(
        source=ColumnDataSource(data),
        columns=columns,
        index_position=None,
        sizing_mode="stretch_width",
        height=min(600, 30 + 26 * len(rows)),
    )


def _shown(value: Any) -> Any:
    return "" if value is None else value
