"""What is written about predictions: the results, and of labelled pictures how good they are."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from reslab.evaluation import figures
from reslab.evaluation.metrics import Predictions, summarize
from reslab.files import write_atomically
from reslab.inference.dashboard import Gallery, write_dashboard
from reslab.inference.model import Description
from reslab.inference.predict import Predicted
from reslab.inference.results import UNCERTAIN, Answer, results_files, safe

MOST_MISTAKES = 50


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
    outcome, gallery = Outcome(), Gallery(description, total, options.top_k)
    labelled: list[Predicted] = []
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
                if one.label is not None:
                    labelled.append(Predicted(one.path, one.label, probabilities=one.probabilities))
            bar.update()
        predictions = _predictions(labelled, description)
        if predictions:
            outcome.metrics = summarize(predictions, options.threshold)
        writer.close(counts=dict(outcome.counts), metrics=outcome.metrics)
    outcome.written = [folder / "predictions.json", folder / "predictions.csv"]
    if options.kaggle:
        outcome.written.append(folder / "submission.csv")
    if predictions and outcome.metrics:
        mistakes = _mistakes(labelled, predictions)
        outcome.written += _write_metrics(folder, outcome.metrics, mistakes)
        outcome.written += _draw(folder, description, predictions, outcome.metrics)
    if total > 1 and outcome.counts["answered"] + outcome.counts[UNCERTAIN]:
        outcome.written.append(
            write_dashboard(
                folder / "dashboard.html", gallery, outcome.counts, predictions, options.threshold
            )
        )
    return outcome


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


def _predictions(labelled: list[Predicted], description: Description) -> Predictions | None:
    if not labelled:
        return None
    probabilities = np.stack(
        [one.probabilities for one in labelled if one.probabilities is not None]
    )
    labels = np.array([one.label for one in labelled], dtype=np.int64)
    return Predictions(probabilities, labels, description.class_names)


def _mistakes(labelled: list[Predicted], predictions: Predictions) -> list[dict[str, Any]]:
    """The wrong answers of which the network was surest."""
    names = predictions.class_names
    wrong = np.flatnonzero(~predictions.right)
    order = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:MOST_MISTAKES]
    return [
        {
            "file": str(labelled[at].path),
            "truth": names[predictions.labels[at]],
            "predicted": names[predictions.predicted[at]],
            "confidence": round(float(predictions.confidence[at]), 6),
        }
        for at in order
    ]


def _write_metrics(
    folder: Path, metrics: dict[str, Any], mistakes: list[dict[str, Any]]
) -> list[Path]:
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
    return [folder / "metrics.json", *(folder / name for name in frames)]


def _draw(
    folder: Path, description: Description, predictions: Predictions, metrics: dict[str, Any]
) -> list[Path]:
    title = f"{description.name}: {metrics['accuracy']:.2%} of {metrics['images']:,} images"
    return [
        figures.draw_confusion(predictions, title, folder / "confusion.png"),
        figures.draw_per_class(metrics, title, folder / "per_class.png"),
        figures.draw_confidence(
            predictions, metrics["threshold"], title, folder / "confidence.png"
        ),
        figures.draw_reliability(
            {description.name: predictions}, title, folder / "reliability.png"
        ),
    ]
