"""The table as Markdown, LaTeX, CSV, JSON, a picture of the curves, and in the terminal."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.files import write_atomically
from reslab.markdown import markdown_table
from reslab.tables.collect import Result, compare_pairs, remarks, summarize
from reslab.tables.columns import Line, as_text, choose, pairs_as_text
from reslab.tables.figures import draw_all
from reslab.tables.page import write_page
from reslab.tables.plan import Table
from reslab.tables.stats import Comparison
from reslab.terminal.console import print_table

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
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
    folder = folder / table.place
    folder.mkdir(parents=True, exist_ok=True)
    lines = [summarize(row, results) for row in table.publication.rows]
    pairs = compare_pairs(table, results)
    notes = remarks(table, lines, pairs, results)
    content = _as_json(table, lines, pairs, notes, results)
    frame = pd.DataFrame(lines).drop(columns=["seeds", "unfinished"])
    texts = {
        "table.md": markdown(content),
        "table.csv": frame.to_csv(index=False),
        "table.tex": latex(table, lines, pairs, notes),
        "macros.tex": macros(table, lines, pairs),
        "table.json": json.dumps(content, indent=2) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    written = [folder / name for name in texts]
    print_table(table.heading, *as_text(lines, table.publication.columns, terminal=True))
    if pairs:
        print_table("differences on the same test images", *pairs_as_text(pairs, terminal=True))
    print("\n".join(["", *(f"- {note}" for note in notes), ""]))
    if any(result.record for result in results):
        written.append(write_page(table, lines, pairs, notes, results, folder / "page.html"))
        for problem in draw_all(table, lines, results, folder / "figures"):
            print(f"warning: {problem}", file=sys.stderr)
        written.append(folder / "figures")
    return written


def markdown(content: dict[str, Any]) -> str:
    """The table as GitHub shows it, from what `table.json` holds."""
    body = markdown_table(*as_text(content["rows"], content["columns"]))
    below = "\n".join(f"- {note}" for note in content["remarks"])
    pairs = [Comparison(**pair) for pair in content["pairs"]]
    compared = f"{markdown_table(*pairs_as_text(pairs))}\n\n" if pairs else ""
    return f"### {content['title']}\n\n{body}\n\n{compared}{below}\n"


def latex(table: Table, lines: list[Line], pairs: list[Comparison], notes: list[str]) -> str:
    """The table for a paper, to `input`; it needs the packages booktabs and graphicx."""
    texts = [as_text(lines, table.publication.columns), *([pairs_as_text(pairs)] if pairs else [])]
    parts = [f"\\resizebox{{\\linewidth}}{{!}}{{%\n{_tabular(*one)}}}" for one in texts]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,graphicx}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_escaped(table.heading)}.}}",
            f"\\label{{tab:{'-'.join(table.place.parts)}}}",
            "\n\n\\medskip\n".join(parts),
            "",
            "\\medskip",
            "\\begin{minipage}{\\linewidth}\\footnotesize",
            "\\\\\n".join(map(_escaped, notes)),
            "\\end{minipage}",
            "\\end{table}",
            "",
        ]
    )


def _tabular(headings: list[str], rows: list[list[str]]) -> str:
    body = [f"{' & '.join(map(_escaped, row))} \\\\" for row in (headings, *rows)]
    columns = "l" + "r" * (len(headings) - 1)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            body[0],
            "\\midrule",
            *body[1:],
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def macros(table: Table, lines: list[Line], pairs: list[Comparison]) -> str:
    r"""A LaTeX macro for each cell, so that prose cites the same values as the table.

    `\LiuGohCifarOneZeroMiniResNetAccuracy` is the accuracy of the row "Mini-ResNet" of the table
    liu_goh on cifar10.
    """
    model, *columns = choose(lines, table.publication.columns)
    cells = [
        (f"{row} {column.name}", texts[at])
        for at, row in enumerate(model[1])
        for column, texts in columns
    ]
    names = ("difference", "interval", "seeds", "images", "only first", "only second", "p")
    for pair, (_, *texts) in zip(pairs, pairs_as_text(pairs)[1], strict=True):
        pair_name = f"{pair.first} against {pair.second}"
        cells += [(f"{pair_name} {name}", t) for name, t in zip(names, texts, strict=True)]
    macros = [
        f"\\newcommand{{\\{_letters(' '.join((*table.place.parts, name)))}}}{{{_escaped(text)}}}"
        for name, text in cells
        if text
    ]
    return "\n".join([f"% {table.heading}", *macros, ""])


def _letters(text: str) -> str:
    """A name of letters alone, which is all that TeX allows: numbers are spelled digit by digit."""
    spelled = re.sub(r"\d", lambda found: f" {DIGITS[int(found[0])]} ", text)
    words = re.findall(r"[A-Za-z]+", spelled)
    return "".join(word[0].upper() + word[1:] for word in words)


def _escaped(text: str) -> str:
    return re.sub(r"[&%$#_{}~^\\]", lambda found: LATEX[found[0]], text).replace("±", r"$\pm$")


def _as_json(
    table: Table,
    lines: list[Line],
    pairs: list[Comparison],
    notes: list[str],
    results: list[Result],
) -> dict[str, Any]:
    cells = [
        {
            "model": result.cell.row.name,
            "seed": result.cell.seed,
            "state": result.state,
            "run": str(result.cell.directory.path),
            "record": result.record and result.record.as_json(),
        }
        for result in results
    ]
    return {
        "table": table.publication.name,
        "title": table.heading,
        "columns": list(table.publication.columns),
        "rows": lines,
        "pairs": [asdict(pair) for pair in pairs],
        "remarks": notes,
        "cells": cells,
    }
