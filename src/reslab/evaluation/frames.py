"""What pictures of predictions show: the same numbers and colors whatever library draws them."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from reslab.evaluation.calibration import reliability
from reslab.evaluation.metrics import by_threshold, confusion_matrix
from reslab.evaluation.palette import BLUE, GREEN, ORANGE
from reslab.evaluation.predictions import Predictions

MOST_CLASSES_WITH_NUMBERS = 20  # in a confusion matrix
HISTOGRAM_BINS = 40

# Each column that is drawn, with its color and what it is called.
PER_CLASS = {
    "precision": (BLUE, "Precision"),
    "recall": (ORANGE, "Recall"),
    "f1": (GREEN, "F1"),
}
CURVES = {"coverage": (GREEN, "answered"), "accuracy": (BLUE, "accuracy of the answers")}
BARS = {"pictures": BLUE, "right": BLUE, "wrong": ORANGE}
RELIABILITY = BLUE


def confusion(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Counts `[K, K]`, a row for each truth, and their shares of the row."""
    counts = confusion_matrix(predictions)
    return counts, counts / np.maximum(counts.sum(1, keepdims=True), 1)


def per_class(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A row a class, of what `metrics.per_class` gives: `class`, `PER_CLASS`, `support`."""
    return pd.DataFrame(rows, columns=["class", *PER_CLASS, "support"])


def reliability_bins(predictions: Predictions) -> pd.DataFrame:
    """A row a bin that is not empty: `low`, `high`, `count`, `confidence`, `accuracy`."""
    return pd.DataFrame([asdict(one) for one in reliability(predictions)])


def histogram(confidence: np.ndarray, right: np.ndarray | None) -> dict[str, pd.DataFrame]:
    """Answers by confidence, stacked: what is right at the bottom, what is wrong on top of it.

    Args:
        confidence: Of each answer, `[N]`.
        right: Whether each is right, bool `[N]`, if that is known.

    Returns:
        A name in `BARS` to a row a bin: `left`, `right`, `bottom`, `top`, `count`.
    """
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    parts = {"pictures": confidence}
    if right is not None:
        parts = {"right": confidence[right], "wrong": confidence[~right]}
    bars, bottom = {}, np.zeros(HISTOGRAM_BINS, int)
    for name, values in parts.items():
        count = np.histogram(values, edges)[0]
        places = {"left": edges[:-1], "right": edges[1:], "bottom": bottom, "top": bottom + count}
        bars[name] = pd.DataFrame(places | {"count": count})
        bottom = bottom + count
    return bars


def threshold_curves(confidence: np.ndarray, right: np.ndarray | None) -> pd.DataFrame:
    """What each `threshold` leaves: columns as in `CURVES`, NaN where nothing is answered.

    Without `right`, which is as in `histogram`, there is no accuracy.
    """
    rows = pd.DataFrame(by_threshold(confidence, right)).astype(float)
    return rows if right is not None else rows.drop(columns="accuracy")
