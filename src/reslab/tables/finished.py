"""A finished run as tables need it: all that it left, read and checked in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from reslab.runs.best import best_of
from reslab.runs.history import read_history
from reslab.runs.identity import identity
from reslab.runs.reading import reading, require
from reslab.runs.record import Record
from reslab.runs.score import score
from reslab.tables.plan import Cell

if TYPE_CHECKING:
    from reslab.evaluation.predictions import Predictions

SAME = 1e-12  # relative: computed in double precision, which other processors do alike
SAME_TEST = 1e-3  # of accuracies: a GPU may sum otherwise when it tests the same weights again
BESIDE_OTHERS = 0.1  # of a core that other processes kept busy, above which a time is starred


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run left, each file of the form that it should have.

    Attributes:
        cell: The cell that it fills.
        record: Its record.
        cfg: Its resolved configuration.
        history: A row an epoch, all columns numbers.
        logits: Of the test set, fp16 `[N, K]`.
        labels: Of the test set, `[N]`.
        class_names: Name of each class.
        gradients: A row a layer and epoch; None in a run of a version that did not keep them.
    """

    cell: Cell
    record: Record
    cfg: DictConfig
    history: pd.DataFrame
    logits: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    gradients: pd.DataFrame | None

    @cached_property
    def predictions(self) -> "Predictions":
        """What its best network says of the test set."""
        from reslab.evaluation.predictions import of_logits  # with scipy, for runs alone

        return of_logits(self.logits, self.labels, self.class_names)

    @property
    def trained_alone(self) -> bool:
        """Whether it trained with the machine to itself, as far as that is recorded."""
        busy = self.record.others_cpu
        return busy is not None and busy <= BESIDE_OTHERS

    @property
    def predicted_alone(self) -> bool:
        """Whether it had it while it predicted; what does not say so is as when it trained."""
        busy = self.record.inference_others_cpu
        return self.trained_alone if busy is None else busy <= BESIDE_OTHERS


def read_finished(cell: Cell) -> FinishedRun | None:
    """What a cell's run left, None before it has a record.

    Raises:
        UserError: A file is foreign, damaged or missing; the message names it.
    """
    directory = cell.directory
    record = directory.record()
    if record is None:
        return None
    with reading(directory.config_file):
        cfg = directory.config()
        require({"dataset", "model", "seed"} <= set(cfg), "it is no run's")
    history = read_history(directory.metrics_file)
    with reading(directory.record_file):
        require(1 <= record.best_epoch <= len(history), f"best_epoch is {record.best_epoch}")
    logits, labels, names = directory.predictions()
    gradients = None
    if directory.gradients_file.exists():
        gradients = read_gradients(directory.gradients_file)
    return FinishedRun(cell, record, cfg, history, logits, labels, names, gradients)


def read_gradients(path: Path) -> pd.DataFrame:
    """A run's `gradients.csv`: epoch (0: the first batch), layer, path (`main`, `skip`), norm.

    Older versions wrote no path: their own joins are told by their name.

    Raises:
        UserError: It is foreign or damaged.
    """
    with reading(path):
        frame = pd.read_csv(path, dtype={"layer": str}).astype({"epoch": int, "norm": float})
        if "path" not in frame:
            joins = frame["layer"].str.contains(r"\bjoin\b")
            frame["path"] = np.where(joins, "skip", "main")
        require(set(frame["path"]) <= {"main", "skip"}, "a path that is neither main nor skip")
        layers = [tuple(names) for _, names in frame.groupby("epoch")["layer"]]
        require(sorted(set(frame["epoch"])) == list(range(len(layers))), "epochs are missing")
        require(len(set(layers)) == 1, "layers are missing")
        require(not frame.duplicated(["epoch", "layer"]).any(), "layers are there twice")
        return frame


def contradictions(run: FinishedRun) -> list[str]:
    """Where the record says something else than the files beside it."""
    record, history = run.record, run.history
    test = score(run.logits, run.labels)
    best, last = history.iloc[record.best_epoch - 1], history.iloc[-1]
    expected = {
        "test/accuracy": test["accuracy"],
        "test/loss": test["loss"],
        "val/accuracy": best["val/accuracy"],
        "val/loss": best["val/loss"],
        "train/accuracy": last["train/accuracy"],
        "train/loss": last["train/loss"],
        "epochs": len(history),
        "seconds": history["seconds"].sum(),
        "epoch_seconds": history["seconds"].median(),
    }
    found = differing(record, expected)
    # What is said of an epoch's test in two places; the logits of the best alone are kept.
    said = {record.best_epoch: record.test_accuracy}
    tests = [(record.epochs, record.last_test_accuracy, "last/test/accuracy")]
    for metric, choice in (record.choices or {}).items():
        values = history.get(metric, pd.Series()).where(np.isfinite(history["val/loss"]))
        if choice.epoch != best_of(values, metric):
            found.append(f"{metric} does not choose epoch {choice.epoch}")
        tests.append((choice.epoch, choice.test_accuracy, f"test/accuracy by {metric}"))
    for epoch, accuracy, key in tests:
        if abs(accuracy - said.setdefault(epoch, accuracy)) > SAME_TEST:
            found.append(f"{key} is {accuracy:.6g}, and {said[epoch]:.6g} in the same epoch")
    if run.gradients is not None and run.gradients["epoch"].max() != record.epochs:
        found.append(f"gradients.csv is of {run.gradients['epoch'].max()} epochs")
    if identity(run.cfg) != record.identity:
        found.append("config.yaml is of another configuration")
    return found


def differing(record: Record, expected: Mapping[str, float]) -> list[str]:
    """Which of the numbers that files give the record has otherwise."""
    said = record.as_json()
    found = []
    for key, value in expected.items():
        if not np.isclose(said[key], value, rtol=SAME, atol=0, equal_nan=True):
            digits = 6 if f"{said[key]:.6g}" != f"{value:.6g}" else 16
            texts = f"{said[key]:.{digits}g}", f"{value:.{digits}g}"
            found.append(f"{key} is {texts[0]}, and {texts[1]} by the files beside it")
    return found
