"""What a table's runs recorded."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from reslab.runs.identity import code_digest
from reslab.tables.spec import Cell, Row, Table


@dataclass(frozen=True)
class Result:
    """A cell with the state of its run and, once that is finished, its record."""

    cell: Cell
    state: str
    record: dict[str, Any] | None

    @property
    def seconds(self) -> float:
        """What the run's epochs have taken so far."""
        try:
            return float(pd.read_csv(self.cell.directory.metrics_file)["seconds"].sum())
        except (OSError, ValueError, KeyError):
            return 0.0


def collect(table: Table) -> list[Result]:
    """Looks every cell up; a run that was never begun is `missing`."""
    results = []
    for cell in table.cells:
        begun = cell.directory.config_file.exists() or cell.directory.failure_file.exists()
        state = cell.directory.state() if begun else "missing"
        results.append(Result(cell, state, cell.directory.record()))
    return results


def summarize(row: Row, results: list[Result]) -> dict[str, Any]:
    """One line of the table: accuracy in percent, time in minutes, over a row's finished runs.

    `std` is the sample standard deviation over seeds, None for fewer than two.
    """
    mine = [result for result in results if result.cell.row == row]
    records = [result.record for result in mine if result.record]
    frame = pd.DataFrame(records)
    line: dict[str, Any] = {
        "model": row.name,
        "recipe": row.recipe,
        "n": len(records),
        "seeds": [result.cell.seed for result in mine if result.record],
        "accuracy": None,
        "std": None,
        "published_accuracy": row.published.get("accuracy"),
        "difference": None,
        "train_accuracy": None,
        "published_train_accuracy": row.published.get("train_accuracy"),
        "parameters": None,
        "published_parameters": row.published.get("parameters"),
        "minutes": None,
        "published_minutes": row.published.get("minutes"),
        "epochs": None,
        "hardware": None,
        "unfinished": {str(r.cell.seed): r.state for r in mine if not r.record},
    }
    if records:
        accuracy = 100 * frame["test/accuracy"]
        line |= {
            "accuracy": float(accuracy.mean()),
            "std": float(accuracy.std()) if len(records) > 1 else None,
            "difference": _difference(float(accuracy.mean()), row.published.get("accuracy")),
            "train_accuracy": 100 * float(frame["train/accuracy"].mean()),
            "parameters": int(frame["parameters"].iloc[0]),
            "minutes": float(frame["seconds"].mean()) / 60,
            "epochs": float(frame["epochs"].mean()),
            "hardware": " / ".join(sorted(set(frame["hardware"]))),
        }
    return line


def _difference(ours: float, published: float | list[float] | None) -> float | None:
    """Ours minus the published figure; 0 within a published range, else from its nearer end."""
    if published is None:
        return None
    low, high = published if isinstance(published, list) else (published, published)
    return ours - min(max(ours, low), high)


def remarks(table: Table, lines: list[dict[str, Any]], results: list[Result]) -> list[str]:
    """What a reader must know to read the table rightly."""
    machines = " / ".join(sorted({line["hardware"] for line in lines if line["hardware"]}))
    minutes = f"Minutes: mean a run, on {machines or 'no hardware yet'}"
    if any(line["published_minutes"] is not None for line in lines):
        minutes += f"; the published ones on {table.hardware or 'hardware that is not named'}"
    notes = [
        f"Accuracy: mean ± sample standard deviation over n seeds, best epoch on validation. "
        f"{minutes}."
    ]
    if table.dataset != table.published_dataset:
        notes.append(
            f"The published figures are for {table.published_dataset}; ours are for "
            f"{table.dataset}, another data set: the difference says nothing of how well the "
            f"paper is reproduced."
        )
    if any(isinstance(row.published.get("accuracy"), list) for row in table.rows):
        notes.append("Where the paper gives a range, the difference is from its nearer end.")
    if table.changes:
        notes.append(f"Differs from the recipes in: {' '.join(table.changes)}.")
    records = [result.record for result in results if result.record]
    if old := sum(record["code_digest"] != code_digest() for record in records):
        notes.append(f"{old} of {len(records)} runs were trained by another version of the code.")
    if inexact := sum(not record["exact"] for record in records):
        notes.append(f"{inexact} of {len(records)} runs were resumed in another environment.")
    for result in results:
        if not result.record:
            reason = ""
            if result.state == "failed":
                reason = ": " + result.cell.directory.failure_file.read_text().partition("\n")[0]
            notes.append(f"{result.cell.row.name}, seed {result.cell.seed}: {result.state}{reason}")
    return notes
