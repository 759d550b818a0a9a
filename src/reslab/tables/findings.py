"""What a table's results come to: lines, comparisons of rows, and what a reader must know."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reslab.errors import UserError
from reslab.evaluation.metrics import ECE_BINS, expected_calibration_error
from reslab.runs.identity import code_digest
from reslab.tables.collect import Result
from reslab.tables.plan import Table
from reslab.tables.publication import PUBLISHED, Row
from reslab.tables.stats import Comparison, compare, correct, mean_interval

Line = dict[str, Any]
"""What `summarize` says of a row."""


@dataclass(frozen=True)
class Findings:
    """A table with what its cells recorded.

    Attributes:
        table: The table.
        results: Its cells.
        lines: What is said of each row.
        pairs: Comparisons of rows.
        notes: What a reader must know.
    """

    table: Table
    results: list[Result]
    lines: list[Line]
    pairs: list[Comparison]
    notes: list[str]

    @property
    def done(self) -> list[Result]:
        """The finished cells."""
        return [result for result in self.results if result.record]

    @property
    def missing(self) -> int:
        """How many cells have no record."""
        return len(self.results) - len(self.done)


def sum_up(table: Table, results: list[Result]) -> Findings:
    """Summarizes and compares the rows of a table."""
    lines = [summarize(row, results) for row in table.publication.rows]
    pairs = compare_pairs(table, results)
    return Findings(table, results, lines, pairs, _remarks(table, lines, pairs, results))


def summarize(row: Row, results: list[Result]) -> Line:
    """One line of the table: accuracies in percent, time in minutes, over a row's finished runs.

    `std` is the sample standard deviation over seeds and `interval` the mean's 95 % interval, None
    for fewer than two; `last` is the last epoch's, `accuracy` that of the best on validation.
    `alone` is whether all trained with nothing else on the machine, `inference_alone` whether all
    predicted so.
    """
    mine = [result for result in results if result.cell.row == row]
    records = [result.record for result in mine if result.record]
    frame = pd.DataFrame([record.as_json() for record in records])
    line: Line = {
        "model": row.name,
        "recipe": row.recipe,
        "n": len(records),
        "seeds": [result.cell.seed for result in mine if result.record],
        "accuracy": None,
        "std": None,
        "interval": None,
        "last": None,
        "last_std": None,
        "difference": None,
        "ece": None,
        "train_accuracy": None,
        "val_accuracy": None,
        "loss": None,
        "parameters": None,
        "macs": None,
        "memory": None,
        "mebibytes": None,
        "images_per_second": None,
        "minutes": None,
        "epochs": None,
        "hardware": None,
        "alone": all(result.trained_alone for result in mine if result.record),
        "inference_alone": all(result.predicted_alone for result in mine if result.record),
        **{f"published_{key}": row.published.get(key) for key in PUBLISHED},
        "unfinished": {str(r.cell.seed): r.state for r in mine if not r.record},
    }
    if records:
        accuracy, last = 100 * frame["test/accuracy"], 100 * frame["last/test/accuracy"]
        finished = [result.predictions for result in mine if result.record]
        several = len(records) > 1
        line |= {
            "accuracy": float(accuracy.mean()),
            "std": float(accuracy.std()) if several else None,
            "interval": _within_percent(mean_interval(accuracy.tolist())),
            "last": float(last.mean()),
            "last_std": float(last.std()) if several else None,
            "ece": float(np.mean([expected_calibration_error(one) for one in finished])),
            "difference": difference(float(accuracy.mean()), row.published.get("accuracy")),
            "train_accuracy": 100 * float(frame["train/accuracy"].mean()),
            "val_accuracy": 100 * float(frame["val/accuracy"].mean()),
            "loss": _mean(frame, "train/loss"),
            "parameters": int(frame["parameters"].iloc[0]),
            "macs": int(frame["macs"].iloc[0]),
            "memory": _mean(frame, "peak_memory_bytes", 2**20),
            "mebibytes": _mean(frame, "checkpoint_bytes", 2**20),
            "images_per_second": _mean(frame, "inference_images_per_second"),
            "minutes": float(frame["seconds"].mean()) / 60,
            "epochs": float(frame["epochs"].mean()),
            "hardware": " / ".join(sorted(set(frame["hardware"]))),
        }
    return line


def _mean(frame: pd.DataFrame, key: str, unit: float = 1.0) -> float | None:
    """The mean of a record's field; None where the records are of a version without it."""
    return float(frame[key].mean()) / unit if key in frame and frame[key].notna().all() else None


def _within_percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (max(0.0, interval[0]), min(100.0, interval[1]))


def difference(ours: float, published: float | list[float] | None) -> float | None:
    """Ours minus the published figure; 0 within a published range, else from its nearer end."""
    if published is None:
        return None
    low, high = published if isinstance(published, list) else (published, published)
    return ours - min(max(ours, low), high)


def compare_pairs(table: Table, results: list[Result]) -> list[Comparison]:
    """The table's pairs of rows that share finished seeds, corrected for their number."""
    comparisons = []
    for first, second in table.publication.pairs:
        runs = [
            {r.cell.seed: r for r in results if r.cell.row.name == name and r.record}
            for name in (first, second)
        ]
        shared = runs[0].keys() & runs[1].keys()
        both = {s: (runs[0][s].predictions, runs[1][s].predictions) for s in shared}
        for ours, theirs in both.values():
            if not np.array_equal(ours.labels, theirs.labels):
                raise UserError(f"pairs: {first} and {second} are of different test sets")
        if both:
            right = {seed: (ours.right, theirs.right) for seed, (ours, theirs) in both.items()}
            comparisons.append(compare(first, second, right))
    return correct(comparisons, len(table.publication.pairs))


def _remarks(
    table: Table, lines: list[Line], pairs: list[Comparison], results: list[Result]
) -> list[str]:
    """What a reader must know to read the table rightly."""
    machines = " / ".join(sorted({line["hardware"] for line in lines if line["hardware"]}))
    minutes = f"Minutes: mean a run, on {machines or 'no hardware yet'}"
    timed = ("published_minutes", "published_images_per_second")
    if any(line[key] is not None for line in lines for key in timed):
        minutes += (
            f"; the published ones on {table.publication.hardware or 'hardware that is not named'}"
        )
    notes = [
        f"Accuracy: mean ± sample standard deviation over n seeds, of the best epoch on "
        f"validation; last, and train: of the last epoch; 95 %: the mean's interval by Student's "
        f"t; ECE: expected calibration error, {ECE_BINS} bins. {minutes}."
    ]
    if pairs:
        notes.append(
            "Differences: mean ± sample standard deviation over shared seeds, with a 95 % "
            "bootstrap interval over seeds and test images (over images alone for one seed); only "
            "1st, only 2nd: images that one of the two alone has right, seed by seed; p: McNemar's "
            "exact test, the seeds' largest, after Holm's correction for the pairs."
        )
    if not all(line["alone"] and line["inference_alone"] for line in lines):
        notes.append("* Time taken beside other work on the same machine.")
    if table.dataset != table.published_dataset:
        notes.append(
            f"The published figures are for {table.published_dataset}; ours are for "
            f"{table.dataset}, another data set: the difference says nothing of how well the "
            f"paper is reproduced."
        )
    if any(isinstance(row.published.get("accuracy"), list) for row in table.publication.rows):
        notes.append("Where the paper gives a range, the difference is from its nearer end.")
    if table.changes:
        notes.append(f"Differs from the recipes in: {' '.join(table.changes)}.")
    records = [result.record for result in results if result.record]
    if old := sum(record.provenance.code_digest != code_digest() for record in records):
        notes.append(f"{old} of {len(records)} runs were trained by another version of the code.")
    if inexact := sum(not record.provenance.exact for record in records):
        notes.append(f"{inexact} of {len(records)} runs were resumed in another environment.")
    finished = [result for result in results if result.record]
    if other := [r for r in finished if r.record and r.record.identity != r.cell.identity]:
        names = ", ".join(f"{r.cell.row.name}, seed {r.cell.seed}" for r in other)
        notes.append(f"Of another configuration than the recipe's: {names}.")
    if table.dataset == table.published_dataset:
        notes += table.publication.notes
    lacking: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if not result.record:
            reason = ""
            if result.state == "failed":
                reason = ": " + result.cell.directory.failure_file.read_text().partition("\n")[0]
            key = result.cell.row.name, f"{result.state}{reason}"
            lacking.setdefault(key, []).append(str(result.cell.seed))
    for (name, state), seeds in lacking.items():
        notes.append(f"{name}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: {state}")
    return notes
