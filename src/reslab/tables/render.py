"""The table as Markdown, CSV, JSON, a picture of the curves, and in the terminal."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.console import print_table
from reslab.files import write_atomically
from reslab.tables.collect import Result, remarks, summarize
from reslab.tables.figures import draw_curves
from reslab.tables.spec import Table

HEADINGS = (
    "Model",
    "Test acc., %",
    "n",
    "paper",
    "diff.",
    "Parameters",
    "paper",
    "Min",
    "paper",
    "Epochs",
)


def render(table: Table, results: list[Result], folder: Path) -> list[Path]:
    """Writes the table's files into `<folder>/<table>/<dataset>` and prints it.

    Returns:
        What was written.
    """
    folder = folder / table.name / table.dataset
    folder.mkdir(parents=True, exist_ok=True)
    lines = [summarize(row, results) for row in table.rows]
    notes = remarks(table, results)
    texts = {
        "table.md": markdown(_title(table), lines, notes),
        "table.csv": pd.DataFrame(lines).drop(columns=["seeds", "unfinished"]).to_csv(index=False),
        "table.json": json.dumps(_as_json(table, lines, notes, results), indent=2) + "\n",
    }
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    written = [folder / name for name in texts]
    if any(result.record for result in results):
        written.append(draw_curves(table, results, folder / "curves.png"))
    columns = len(HEADINGS) - 1  # all that 80 columns hold
    print_table(_title(table), HEADINGS[:columns], [_texts(line)[:columns] for line in lines])
    print("\n".join(["", *(f"- {note}" for note in [_hardware(lines), *notes]), ""]))
    return written


def markdown(title: str, lines: list[dict[str, Any]], notes: list[str]) -> str:
    """The table as GitHub shows it."""
    rows = [HEADINGS, ("---",) + ("---:",) * (len(HEADINGS) - 1), *(_texts(line) for line in lines)]
    body = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    below = "\n".join(f"- {note}" for note in [_hardware(lines), *notes])
    return f"### {title}\n\n{body}\n\n{below}\n"


def _texts(line: dict[str, Any]) -> tuple[str, ...]:
    paper = [
        f"{line['published_accuracy']:.1f}",
        str(line["published_parameters"]),
        str(line["published_minutes"]),
    ]
    asked = line["n"] + len(line["unfinished"])
    n = f"{line['n']}/{asked}" if line["unfinished"] else f"{asked}"
    if not line["n"]:
        states = ", ".join(sorted(set(line["unfinished"].values())))
        return line["model"], states, n, paper[0], "", "", paper[1], "", paper[2], ""
    spread = f" ± {line['std']:.2f}" if line["std"] is not None else ""
    return (
        line["model"],
        f"{line['accuracy']:.2f}{spread}",
        n,
        paper[0],
        f"{line['difference']:+.1f}",
        f"{line['parameters']:,}",
        paper[1],
        f"{line['minutes']:.2f}" if line["minutes"] < 1 else f"{line['minutes']:.1f}",
        paper[2],
        f"{line['epochs']:g}",
    )


def _title(table: Table) -> str:
    return f"{table.title}, on {table.dataset}"


def _hardware(lines: list[dict[str, Any]]) -> str:
    names = sorted({line["hardware"] for line in lines if line["hardware"]})
    return (
        f"Accuracy: mean ± sample standard deviation over n seeds, best epoch on validation. "
        f"Minutes: mean a run, on {' / '.join(names) or 'no hardware yet'}; the published "
        f"hardware is not named."
    )


def _as_json(
    table: Table, lines: list[dict[str, Any]], notes: list[str], results: list[Result]
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
