"""What is kept of labelled pictures, and their metrics as files."""

import heapq
import json
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reslab.evaluation.predictions import DIGITS, Predictions
from reslab.files import write_atomically
from reslab.predicting.predict import Predicted
from reslab.reports.cells import safe

MOST_MISTAKES = 50


class Labelled:
    """What is kept of labelled pictures: numbers, and the names of the surest mistakes alone."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self._labels = array("q")
        self._probabilities = array("f")
        self._surest: list[tuple[float, int, str, int, int]] = []

    def add(self, one: Predicted) -> None:
        """Takes a picture; one without a label is passed over."""
        if one.label is None or one.probabilities is None:
            return
        self._labels.append(one.label)
        self._probabilities.extend(one.probabilities.tolist())
        predicted = int(one.probabilities.argmax())
        if predicted != one.label:
            number = -len(self._labels)  # of two that are as sure, the first stays
            sure = float(one.probabilities.max())
            mistake = (sure, number, str(one.path), one.label, predicted)
            heapq.heappush(self._surest, mistake)
            if len(self._surest) > MOST_MISTAKES:
                heapq.heappop(self._surest)

    def predictions(self) -> Predictions | None:
        """All of them, None if there are none."""
        if not self._labels:
            return None
        shape = len(self._labels), len(self.class_names)
        probabilities = np.array(self._probabilities, dtype=np.float32).reshape(shape)
        return Predictions(probabilities, np.array(self._labels), self.class_names)

    def mistakes(self) -> list[dict[str, Any]]:
        """The wrong answers of which the network was surest, the surest first."""
        return [
            {
                "file": file,
                "truth": self.class_names[label],
                "predicted": self.class_names[predicted],
                "confidence": round(sure, DIGITS),
            }
            for sure, _, file, label, predicted in sorted(self._surest, reverse=True)
        ]


def write_metrics(folder: Path, metrics: dict[str, Any], mistakes: list[dict[str, Any]]) -> None:
    """Writes them as JSON and as CSV that spreadsheets can open safely."""
    names = [safe(row["class"]) for row in metrics["per_class"]]
    averages = [
        {"class": f"{kind} average"} | metrics[kind] | {"support": metrics["images"]}
        for kind in ("macro", "weighted")
    ]
    frames = {
        "per_class.csv": pd.DataFrame([*metrics["per_class"], *averages]),
        "confusion.csv": pd.DataFrame(metrics["confusion"], names, names).rename_axis(
            "truth \\ predicted"
        ),
        "confused_pairs.csv": pd.DataFrame(
            metrics["confused_pairs"], columns=["truth", "predicted", "count"]
        ),
        "mistakes.csv": pd.DataFrame(
            mistakes, columns=["file", "truth", "predicted", "confidence"]
        ),
    }
    for name, frame in frames.items():
        cells = frame.map(lambda cell: safe(cell) if isinstance(cell, str) else cell)
        text = cells.to_csv(index=name == "confusion.csv")
        write_atomically(folder / name, text.encode(errors="surrogateescape"))
    content = json.dumps(metrics | {"mistakes": mistakes}, indent=2) + "\n"
    write_atomically(folder / "metrics.json", content.encode())
