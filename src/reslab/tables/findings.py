"""What a table's results come to: lines, comparisons of rows, and what a reader must know."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reslab.evaluation.metrics import ECE_BINS, expected_calibration_error
from reslab.runs.sources import code_digest
from reslab.tables.collect import Result
from reslab.tables.finished import FinishedRun
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
    def done(self) -> list[FinishedRun]:
        """What the finished cells left."""
        return [result.run for result in self.results if result.run]

    @property
    def missing(self) -> int:
        """How many cells have no record that can be used."""
        return len(self.results) - len(self.done)


def sum_up(table: Table, results: list[Result]) -> Findings:
    """Summarizes and compares the rows of a table."""
    lines = [summarize(row, results) for row in table.publication.rows]
    pairs, refused = compare_pairs(table, results)
    notes = _remarks(table, lines, pairs, results)
    return Findings(table, results, lines, pairs, [*notes, *refused])


def summarize(row: Row, results: list[Result]) -> Line:
    """One line of the table: accuracies in percent, time in minutes, over a row's finished runs.

    `std` is the sample standard deviation over seeds and `interval` the mean's 95 % interval, None
    for fewer than two; `last` is the last epoch's, `accuracy` that of the best on validation.
    `alone` is whether all trained with nothing else on the machine, `inference_alone` whether all
    predicted so.
    """
    mine = [result for result in results if result.cell.row == row]
    runs = [result.run for result in mine if result.run]
    records = [run.record for run in runs]
    frame = pd.DataFrame([record.as_json() for record in records])
    line: Line = {
        "model": row.name,
        "recipe": row.recipe,
        "n": len(records),
        "seeds": [run.cell.seed for run in runs],
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
        "alone": all(run.trained_alone for run in runs),
        "inference_alone": all(run.predicted_alone for run in runs),
        **{f"published_{key}": row.published.get(key) for key in PUBLISHED},
        "unfinished": {str(r.cell.seed): r.state for r in mine if not r.record},
    }
    if records:
        accuracy, last = 100 * frame["test/accuracy"], 100 * frame["last/test/accuracy"]
        several = len(records) > 1
        line |= {
            "accuracy": float(accuracy.mean()),
            "std": float(accuracy.std()) if several else None,
            "interval": _within_percent(mean_interval(accuracy.tolist())),
            "last": float(last.mean()),
            "last_std": float(last.std()) if several else None,
            "ece": float(np.mean([expected_calibration_error(run.predictions) for run in runs])),
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


def compare_pairs(table: Table, results: list[Result]) -> tuple[list[Comparison], list[str]]:
    """The table's pairs of rows that share finished seeds, corrected for their number.

    Returns:
        The comparisons, and a line for each pair that cannot be compared.
    """
    comparisons, refused = [], []
    for first, second in table.publication.pairs:
        runs = [
            {r.cell.seed: r.run.predictions for r in results if r.cell.row.name == name and r.run}
            for name in (first, second)
        ]
        both = {seed: (runs[0][seed], runs[1][seed]) for seed in runs[0].keys() & runs[1].keys()}
        if not all(np.array_equal(ours.labels, theirs.labels) for ours, theirs in both.values()):
            refused.append(f"{first} - {second}: not compared, being of different test sets.")
        elif both:
            right = {seed: (ours.right, theirs.right) for seed, (ours, theirs) in both.items()}
            comparisons.append(compare(first, second, right))
    return correct(comparisons, len(table.publication.pairs)), refused


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
    runs = [result.run for result in results if result.run]
    now = code_digest()
    if old := sum(run.record.provenance.code_digest != now for run in runs):
        notes.append(f"{old} of {len(runs)} runs were trained by another version of the code.")
    if inexact := sum(not run.record.provenance.exact for run in runs):
        notes.append(f"{inexact} of {len(runs)} runs were resumed in another environment.")
    if other := [run.cell for run in runs if run.record.identity != run.cell.identity]:
        names = ", ".join(f"{cell.row.name}, seed {cell.seed}" for cell in other)
        notes.append(f"Of another configuration than the recipe's: {names}.")
    if table.dataset == table.published_dataset:
        notes += table.publication.notes
    lacking: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if not result.run:
            said = f"{result.state}: {result.reason}" if result.reason else result.state
            lacking.setdefault((result.cell.row.name, said), []).append(str(result.cell.seed))
    for (name, said), seeds in lacking.items():
        notes.append(f"{name}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: {said}")
    return notes
