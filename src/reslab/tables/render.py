"""The table as Markdown, LaTeX, CSV, JSON, a picture of the curves, and in the terminal."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.console import print_table
from reslab.files import write_atomically
from reslab.tables.collect import Result, remarks, summarize
from reslab.tables.columns import Line, as_text
from reslab.tables.figures import draw_curves, draw_depth
from reslab.tables.readme import markdown_table
from reslab.tables.spec import Table

LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def render(table: Table, results: list[Result], folder: Path) -> list[Path]:
    """Writes the table's files into `<folder>/<table>/<dataset>` and prints it.

    Returns:
        What was written.
    """
    folder = folder / table.name / table.dataset
    folder.mkdir(parents=True, exist_ok=True)
    lines = [summarize(row, results) for row in table.rows]
    notes = remarks(table, lines, results)
    texts = {
        "table.md": markdown(_title(table), lines, notes),
        "table.csv": pd.DataFrame(lines).drop(columns=["seeds", "unfinished"]).to_csv(index=False),
        "table.tex": latex(_title(table), lines, notes),
        "table.json": json.dumps(_as_json(table, lines, notes, results), indent=2) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    written = [folder / name for name in texts]
    if any(result.record for result in results):
        written.append(draw_curves(table, results, folder / "curves.png"))
        if any(row.depth for row in table.rows):
            written.append(draw_depth(table, lines, folder / "depth.png"))
    headings, rows = as_text(lines)
    fitting = len(headings) - (headings[-1] == "Epochs")  # all that 80 columns hold
    print_table(_title(table), headings[:fitting], [row[:fitting] for row in rows])
    print("\n".join(["", *(f"- {note}" for note in notes), ""]))
    return written


def markdown(title: str, lines: list[Line], notes: list[str]) -> str:
    """The table as GitHub shows it."""
    body = markdown_table(*as_text(lines))
    below = "\n".join(f"- {note}" for note in notes)
    return f"### {title}\n\n{body}\n\n{below}\n"


def latex(title: str, lines: list[Line], notes: list[str]) -> str:
    """The table for a paper, to `input`; it needs the package booktabs."""
    headings, rows = as_text(lines)
    body = [f"{' & '.join(map(_escaped, row))} \\\\" for row in (headings, *rows)]
    below = " ".join(map(_escaped, notes))
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_escaped(title)}. {below}}}",
            f"\\begin{{tabular}}{{l{'r' * (len(headings) - 1)}}}",
            "\\toprule",
            body[0],
            "\\midrule",
            *body[1:],
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _escaped(text: str) -> str:
    return re.sub(r"[&%$#_{}~^\\]", lambda found: LATEX[found[0]], text).replace("±", r"$\pm$")


def _title(table: Table) -> str:
    return f"{table.title}, on {table.dataset}"


def _as_json(
    table: Table, lines: list[Line], notes: list[str], results: list[Result]
) -> dict[str, Any]:
    cells = [
        {
            "model": result.cell.row.name,
            "seed": result.cell.seed,
            "state": result.state,
            "run": str(result.cell.directory.path),
            "record": result.record,
        }
        for result in results
    ]
    title = _title(table)
    return {"table": table.name, "title": title, "rows": lines, "remarks": notes, "cells": cells}
