"""Predictions on disk, written as they come: JSON, and CSV that spreadsheets can open safely."""

import csv
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from reslab.evaluation.predictions import DIGITS, is_sure
from reslab.files import text_written_atomically
from reslab.predicting.predict import Predicted
from reslab.reports.cells import safe
from reslab.runs.description import Description

UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Answer:
    """What is said of one picture: the likeliest class or `uncertain`, and the ranking.

    The probabilities of all classes are rounded as they are written.
    """

    answer: str
    confidence: float
    top: list[dict[str, Any]]
    probabilities: list[float]


def answer(
    probabilities: np.ndarray, class_names: tuple[str, ...], top_k: int, threshold: float
) -> Answer:
    """Ranks the classes; below the threshold the answer is `uncertain`, the ranking still there."""
    values = probabilities.tolist()
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    rounded = [round(value, DIGITS) for value in values]
    top = [{"class": class_names[index], "probability": rounded[index]} for index in order[:top_k]]
    sure = is_sure(probabilities[order[0]], threshold)
    name = class_names[order[0]] if sure else UNCERTAIN
    return Answer(name, top[0]["probability"], top, rounded)


class ResultsWriter:
    """Writes one row after the other; `results_files` opens it.

    `repeated_ids` counts rows of the Kaggle file whose ID an earlier row has.

    Args:
        json_file: Where `predictions.json` goes, as `predictions.schema.json` describes it.
        csv_file: Where `predictions.csv` goes; a text that a spreadsheet would take for a formula
            has an apostrophe before it, and so has one that begins with an apostrophe.
        kaggle_file: Where `submission.csv` goes, if it is asked for.
        description: The network's.
        options: What the user asked for, for the JSON.
    """

    def __init__(
        self,
        json_file: TextIO,
        csv_file: TextIO,
        kaggle_file: TextIO | None,
        description: Description,
        options: dict[str, Any],
    ) -> None:
        self.description, self.options = description, options
        self._json, self._csv = json_file, csv.writer(csv_file)
        self._kaggle = csv.writer(kaggle_file) if kaggle_file else None
        self._rows = 0
        self._ids: set[str] = set()
        self.repeated_ids = 0
        names = description.class_names
        self._csv.writerow(
            ["file", "label", "answer", "confidence", *map(safe, names), "notes", "error"]
        )
        if self._kaggle:
            self._kaggle.writerow(["ID", "Labels"])
        header = {"model": _about(description), "class_names": list(names), "options": options}
        self._json.write(json.dumps(header)[:-1] + ', "images": [')

    def write(self, one: Predicted) -> Answer | None:
        """Adds a file; gives its answer, None where it has none."""
        names, file = self.description.class_names, str(one.path)
        row: dict[str, Any] = {"file": file}
        truth = "" if one.label is None else names[one.label]
        given = None
        if one.probabilities is None:
            row["error"] = one.problem
            self._csv.writerow(
                [safe(file), safe(truth), *[""] * (len(names) + 3), safe(str(one.problem))]
            )
        else:
            asked = self.options
            given = answer(one.probabilities, names, asked["top_k"], asked["threshold"])
            row |= {"answer": given.answer, "confidence": given.confidence, "top": given.top}
            row |= {"probabilities": given.probabilities, "notes": list(one.notes)}
            said = [safe(given.answer), given.confidence, *given.probabilities]
            self._csv.writerow([safe(file), safe(truth), *said, "; ".join(one.notes), ""])
            if self._kaggle:
                self._kaggle.writerow([safe(one.path.stem), int(one.probabilities.argmax())])
                self.repeated_ids += one.path.stem in self._ids
                self._ids.add(one.path.stem)
        if truth:
            row["label"] = truth
        self._json.write((",\n" if self._rows else "\n") + json.dumps(row))
        self._rows += 1
        return given

    def close(self, **summary: Any) -> None:
        """Ends the JSON document with what is known only now."""
        self._json.write("\n], " + json.dumps(summary)[1:] + "\n")


@contextmanager
def results_files(
    folder: Path, description: Description, options: dict[str, Any], *, kaggle: bool
) -> Iterator[ResultsWriter]:
    """Opens the files of a folder of results; they appear when all is written."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        json_file, csv_file = (
            stack.enter_context(text_written_atomically(folder / f"predictions.{kind}"))
            for kind in ("json", "csv")
        )
        kaggle_file = None
        if kaggle:
            kaggle_file = stack.enter_context(text_written_atomically(folder / "submission.csv"))
        yield ResultsWriter(json_file, csv_file, kaggle_file, description, options)


def _about(description: Description) -> dict[str, Any]:
    record = description.record
    return {
        "name": description.name,
        "dataset": description.dataset,
        "recipe": record and record.recipe,
        "parameters": record and record.parameters,
        "test_accuracy": record and record.test_accuracy,
        "input": [description.channels, description.size, description.size],
        "mean": list(description.mean),
        "std": list(description.std),
    }
