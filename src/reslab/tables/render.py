"""The table as Markdown, LaTeX, CSV, JSON, a page and pictures, and what it claims."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.files import write_atomically
from reslab.markdown import markdown_table
from reslab.reporter import SILENT, Reporter
from reslab.tables.collect import Result
from reslab.tables.columns import as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings, sum_up
from reslab.tables.latex import latex, macros
from reslab.tables.plan import Table
from reslab.tables.rendered import Rendered, text_of
from reslab.tables.stats import Comparison


def render(
    table: Table,
    results: list[Result],
    folder: Path,
    reporter: Reporter = SILENT,
    show: Callable[[dict[str, Any]], None] = lambda content: None,
) -> Rendered:
    """Writes the table's files into `<folder>/<table>/<data set>`.

    Args:
        table: The table.
        results: Its cells.
        folder: The one with tables.
        reporter: Is told how far the pictures are, and what could not be drawn.
        show: Takes what `table.json` holds once it is written, and before pictures are drawn.
    """
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
        "table.json": text_of(content),
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    show(content)
    written = [folder / name for name in texts]
    warnings: list[str] = []
    if findings.done:  # else nothing waits for matplotlib, Bokeh and torch
        reporter.say("drawing its page and pictures, which takes a few seconds")
        from reslab.tables.analyses import draw_analyses, kept_analyses, show_analyses
        from reslab.tables.checklist import checklist
        from reslab.tables.claims import claims_page
        from reslab.tables.figures import draw_all
        from reslab.tables.page import write_page

        for name, text in (
            ("claims.md", claims_page(findings)),
            ("checklist.md", checklist(findings)),
        ):
            write_atomically(folder / name, text.encode())
            written.append(folder / name)
        pictures, warnings = draw_all(findings, folder / "figures", reporter)
        files = [folder / f"figures/{name}.png" for name in pictures]
        analyses, spoilt = kept_analyses(findings)
        draw_analyses(analyses, folder / "figures")
        warnings.extend(spoilt)
        page = write_page(findings, folder / "page.html", files, show_analyses(analyses))
        written.append(page)
        written.append(folder / "figures")
    for warning in warnings:
        reporter.warn(warning)
    return Rendered(content, folder, tuple(written), tuple(warnings))


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
