"""The table as Markdown, LaTeX, CSV, JSON, a page and pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.files import write_atomically
from reslab.markdown import insert_table, markdown_table
from reslab.reporter import SILENT, Reporter
from reslab.tables.collect import Result, collect
from reslab.tables.columns import as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings, sum_up
from reslab.tables.latex import latex, macros
from reslab.tables.plan import Table, load_table
from reslab.tables.reference import from_reference, keep_records
from reslab.tables.stats import Comparison

OUTPUT = Path("outputs/tables")


@dataclass(frozen=True)
class Rendered:
    """What a table came to, and where it was written: its files, and the folder of its pictures."""

    findings: Findings
    written: tuple[Path, ...]


def render_table(
    name: str,
    overrides: Sequence[str] = (),
    *,
    quick: bool = False,
    keep: Path | None = None,
    reference: Path | None = None,
    output: Path = OUTPUT,
    pages: Sequence[Path] = (),
    reporter: Reporter = SILENT,
) -> Rendered:
    """Renders a published table from the runs at hand, or from records that were kept.

    Args:
        name: The table's name.
        overrides: Hydra's, for every cell.
        quick: Whether at the small scale that the table's file names.
        keep: Where the finished runs' records are copied to first.
        reference: Where the records are taken from, if not from the runs.
        output: The folder with tables.
        pages: Markdown files into which it is inserted too.
        reporter: Is told what could not be drawn.

    Raises:
        UserError: There is no such table, an override is wrong, a record cannot be kept, or the
            Markdown file has no place for the table.
    """
    table = load_table(name, overrides, quick=quick)
    kept = keep_records(table, collect(table), keep) if keep else []
    results = from_reference(table, reference) if reference else collect(table)
    rendered = render(table, results, output, reporter)
    for page in pages:
        insert_table(page, output / table.place / "table.md")
    return Rendered(rendered.findings, (*kept, *rendered.written))


def render(
    table: Table, results: list[Result], folder: Path, reporter: Reporter = SILENT
) -> Rendered:
    """Writes the table's files into `<folder>/<table>/<data set>`."""
    folder = folder / table.place
    folder.mkdir(parents=True, exist_ok=True)
    findings = sum_up(table, results)
    content = as_json(findings)
    frame = pd.DataFrame(findings.lines).drop(columns=["seeds", "unfinished"])
    texts = {
        "table.md": markdown(content),
        "table.csv": frame.to_csv(index=False),
        "table.tex": latex(findings),
        "macros.tex": macros(findings),
        "table.json": json.dumps(content, indent=2) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    written = [folder / name for name in texts]
    if findings.done:  # else nothing waits for matplotlib, Bokeh and torch
        from reslab.tables.figures import draw_all
        from reslab.tables.page import write_page

        written.append(write_page(findings, folder / "page.html"))
        written.append(draw_all(findings, folder / "figures", reporter))
    return Rendered(findings, tuple(written))


def markdown(content: dict[str, Any]) -> str:
    """The table as GitHub shows it, from what `table.json` holds."""
    body = markdown_table(*as_text(choose(content["rows"], content["columns"])))
    below = "\n".join(f"- {note}" for note in content["remarks"])
    pairs = [Comparison(**pair) for pair in content["pairs"]]
    compared = f"{markdown_table(*as_text(choose_of_pairs(pairs)))}\n\n" if pairs else ""
    return f"### {content['title']}\n\n{body}\n\n{compared}{below}\n"


def as_json(findings: Findings) -> dict[str, Any]:
    """All that is known of a table, as plain values."""
    cells = [
        {
            "model": result.cell.row.name,
            "seed": result.cell.seed,
            "state": result.state,
            "run": str(result.cell.directory.path),
            "reason": result.reason,
            "record": result.record and result.record.as_json(),
        }
        for result in findings.results
    ]
    publication = findings.table.publication
    return {
        "table": publication.name,
        "title": findings.table.heading,
        "columns": list(publication.columns),
        "rows": findings.lines,
        "pairs": [asdict(pair) for pair in findings.pairs],
        "remarks": findings.notes,
        "cells": cells,
    }
