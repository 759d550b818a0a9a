"""What is written about predictions: the results, and of labelled pictures how good they are."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import UserError
from reslab.evaluation import figures
from reslab.evaluation.metrics import summarize
from reslab.evaluation.predictions import Predictions
from reslab.pictures.find import Skipped
from reslab.pictures.formats import SUFFIXES
from reslab.pictures.labels import Labels
from reslab.predicting.predict import Predicted
from reslab.reporter import SILENT, Reporter
from reslab.reports.dashboard import Gallery, write_dashboard
from reslab.reports.grad_cam import Looks
from reslab.reports.labelled import Labelled, write_metrics
from reslab.reports.results import UNCERTAIN, Answer, results_files
from reslab.runs.description import Description

RESULTS = ("predictions.json", "predictions.csv", "submission.csv")
OF_LABELLED = (
    *("metrics.json", "per_class.csv", "confusion.csv", "confused_pairs.csv", "mistakes.csv"),
    *("confusion.png", "per_class.png", "reliability.png"),
)
OF_MANY = ("confidence.png", "dashboard.html")
GRAD_CAM = "grad_cam.png"
ALL = {*RESULTS, *OF_LABELLED, *OF_MANY, GRAD_CAM}


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Attributes:
        top_k: Classes in a ranking.
        threshold: Confidence below which the answer is `uncertain`.
        mirror: Whether each picture's mirror image counts too.
        kaggle: Whether to write `submission.csv` too.
        grad_cam: Whether to show where in each picture its class is seen.
    """

    top_k: int = 5
    threshold: float = 0.5
    mirror: bool = False
    kaggle: bool = False
    grad_cam: bool = False


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        folder: Where it all is.
        counts: Files by `answered`, `uncertain` and `failed`.
        notes: How often each thing was done to a picture.
        metrics: Of the labelled ones alone, None if there are none.
        answers: Of the first ten, with their files.
        problems: The first ten, with their files.
        skipped: What lies in the folders and was not read.
        labels: The truth, where it was given, and what of it was not used.
        repeated_ids: Rows of `submission.csv` whose ID an earlier row has.
        written: The files with the results.
    """

    folder: Path
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    metrics: dict[str, Any] | None = None
    answers: list[tuple[Path, Answer]] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)
    labels: Labels | None = None
    repeated_ids: int = 0
    written: list[Path] = field(default_factory=list)


def check_output(folder: Path) -> None:
    """Refuses a folder whose own files the results could take the place of.

    Raises:
        UserError: It is a run's directory, or holds pictures, or files with the names of results
            that no results stand beside.
    """
    if (folder / "config.yaml").exists():
        raise UserError(f"--output {folder} is the directory of a run: choose another folder")
    files = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    pictures = {name for name in files - ALL if Path(name).suffix.lower() in SUFFIXES}
    foreign = pictures if "predictions.json" in files else pictures | (files & ALL)
    if foreign:
        raise UserError(
            f"--output {folder} holds {min(foreign)}, which is none of its results: "
            f"choose another folder"
        )


def report(
    stream: Iterable[Predicted],
    total: int,
    description: Description,
    options: Options,
    folder: Path,
    reporter: Reporter = SILENT,
    *,
    skipped: Skipped | None = None,
    labels: Labels | None = None,
) -> Outcome:
    """Writes results as they come, then metrics, pictures and the dashboard.

    Until the new predictions are whole, what an earlier call wrote there stays.

    Args:
        stream: Files with their predictions.
        total: How many there will be.
        description: The network's.
        options: What the user asked for.
        folder: Where to write.
        reporter: Told how far it is.
        skipped: What was found beside the files and was not read.
        labels: The truth, where it was given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_ours = (folder / "predictions.json").exists()
    outcome = Outcome(folder, skipped=skipped or Skipped(), labels=labels)
    gallery = Gallery(description)
    labelled = Labelled(description.class_names)
    looks = Looks(description.class_names)
    asked = {"top_k": options.top_k, "threshold": options.threshold, "tta": options.mirror}
    with (
        results_files(folder, description, asked, kaggle=options.kaggle) as writer,
        reporter.progress(total, "img") as advance,
    ):
        for one in stream:
            given = writer.write(one)
            _count(outcome, one, given)
            if given:
                gallery.add(one, given)
                labelled.add(one)
                looks.add(one)
            advance()
        predictions = labelled.predictions()
        if predictions:
            outcome.metrics = summarize(predictions, options.threshold)
        writer.close(
            counts=dict(outcome.counts),
            skipped=outcome.skipped.as_json(),
            labels=labels and labels.as_json(),
            metrics=outcome.metrics,
        )
    outcome.repeated_ids = writer.repeated_ids
    written = list(RESULTS if options.kaggle else RESULTS[:2])
    if is_ours:  # nothing of an earlier call is to stand beside what follows
        for name in ALL - {*written}:
            (folder / name).unlink(missing_ok=True)
    if predictions and outcome.metrics:
        write_metrics(folder, outcome.metrics, labelled.mistakes())
        labelled_alone = "labeled " if len(predictions.labels) < gallery.seen else ""
        images = f"{len(predictions.labels):,} {labelled_alone}images"
        title = f"{description.name}: {outcome.metrics['accuracy']:.2%} of {images}"
        _draw(folder, description.name, predictions, outcome.metrics, title)
        written += [*OF_LABELLED, "confidence.png"]
    elif total > 1 and gallery.seen:
        title = f"{description.name}: {gallery.seen:,} images"
        sure = np.array(gallery.confidence)
        figures.draw_confidence(sure, None, options.threshold, title, folder / "confidence.png")
        written += ["confidence.png"]
    if looks.images:
        looks.draw(f"{description.name}: where it looks, by Grad-CAM", folder / GRAD_CAM)
        written += [GRAD_CAM]
    if total > 1 and gallery.seen:
        write_dashboard(
            folder / "dashboard.html", gallery, outcome.counts, predictions, options.threshold
        )
        written += ["dashboard.html"]
    outcome.written = [folder / name for name in written]
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


def _draw(
    folder: Path, name: str, predictions: Predictions, metrics: dict[str, Any], title: str
) -> None:
    figures.draw_confusion(predictions, title, folder / "confusion.png")
    figures.draw_per_class(metrics, title, folder / "per_class.png")
    figures.draw_confidence(
        predictions.confidence,
        predictions.right,
        metrics["threshold"],
        title,
        folder / "confidence.png",
    )
    models = {name: predictions}
    figures.draw_reliability(models, title, folder / "reliability.png")
