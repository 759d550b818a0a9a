"""What is written about predictions: the results, and of labelled pictures how good they are."""

import heapq
import json
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from reslab.evaluation import figures
from reslab.evaluation.metrics import DIGITS, Predictions, summarize
from reslab.files import write_atomically
from reslab.inference.dashboard import Gallery, write_dashboard
from reslab.inference.model import Description
from reslab.inference.predict import Predicted
from reslab.inference.results import UNCERTAIN, Answer, results_files, safe

MOST_MISTAKES = 50
FILES = (
    *("predictions.json", "predictions.csv", "submission.csv", "metrics.json", "per_class.csv"),
    *("confusion.csv", "confused_pairs.csv", "mistakes.csv", "confusion.png", "per_class.png"),
    *("confidence.png", "reliability.png", "dashboard.html"),
)


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        top_k: Classes in a ranking.
        threshold: Confidence below which the answer is `uncertain`.
        mirror: Whether each picture's mirror image counts too.
        kaggle: Whether to write `submission.csv` too.
    """

    top_k: int = 5
    threshold: float = 0.5
    mirror: bool = False
    kaggle: bool = False


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        counts: Files by `answered`, `uncertain` and `failed`.
        notes: How often each thing was done to a picture.
        metrics: Of the labelled ones, None if there are none.
        answers: Of the first ten, with their files.
        problems: The first ten, with their files.
        written: The files with the results.
    """

    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    metrics: dict[str, Any] | None = None
    answers: list[tuple[Path, Answer]] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def report(
    stream: Iterable[Predicted],
    total: int,
    description: Description,
    options: Options,
    folder: Path,
) -> Outcome:
    """Writes results as they come, then metrics, pictures and the dashboard.

    Args:
        stream: Files with their predictions.
        total: How many there will be.
        description: The network's.
        options: What the user asked for.
        folder: Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:  # nothing of an earlier call is to stand beside what follows
        (folder / name).unlink(missing_ok=True)
    outcome, gallery = Outcome(), Gallery(description, options.top_k)
    labelled = Labelled(description.class_names)
    asked = {"top_k": options.top_k, "threshold": options.threshold, "tta": options.mirror}
    with (
        results_files(folder, description, asked, kaggle=options.kaggle) as writer,
        tqdm(total=total, unit="img", unit_scale=True, dynamic_ncols=True, leave=False) as bar,
    ):
        for one in stream:
            given = writer.write(one)
            _count(outcome, one, given)
            if given:
                gallery.add(one)
                labelled.add(one)
            bar.update()
        predictions = labelled.predictions()
        if predictions:
            outcome.metrics = summarize(predictions, options.threshold)
        writer.close(counts=dict(outcome.counts), metrics=outcome.metrics)
    if predictions and outcome.metrics:
        _write_metrics(folder, outcome.metrics, labelled.mistakes())
        _draw(folder, description, predictions, outcome.metrics)
    elif total > 1 and gallery.seen:
        title = f"{description.name}: {gallery.seen:,} images"
        sure = np.array(gallery.confidence)
        figures.draw_confidence(sure, None, options.threshold, title, folder / "confidence.png")
    if total > 1 and gallery.seen:
        write_dashboard(
            folder / "dashboard.html", gallery, outcome.counts, predictions, options.threshold
        )
    outcome.written = [folder / name for name in FILES if (folder / name).exists()]
    return outcome


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


def _count(outcome: Outcome, one: Predicted, given: Answer | None) -> None:
    outcome.notes.update(one.notes)
    if given is None:
        outcome.counts["failed"] += 1
        if len(outcome.problems) < 10:
            outcome.problems.append((one.path, str(one.problem)))
        return
    outcome.counts[UNCERTAIN if given.answer == UNCERTAIN else "answered"] += 1
    if len(outcome.answers) < 10:
        outcome.answers.append((one.path, given))


def _write_metrics(folder: Path, metrics: dict[str, Any], mistakes: list[dict[str, Any]]) -> None:
    names = [row["class"] for row in metrics["per_class"]]
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


def _draw(
    folder: Path, description: Description, predictions: Predictions, metrics: dict[str, Any]
) -> None:
    title = f"{description.name}: {metrics['accuracy']:.2%} of {metrics['images']:,} images"
    figures.draw_confusion(predictions, title, folder / "confusion.png")
    figures.draw_per_class(metrics, title, folder / "per_class.png")
    figures.draw_confidence(
        predictions.confidence,
        predictions.right,
        metrics["threshold"],
        title,
        folder / "confidence.png",
    )
    models = {description.name: predictions}
    figures.draw_reliability(models, title, folder / "reliability.png")
