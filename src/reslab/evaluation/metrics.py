"""Metrics of a classifier, computed by torchmetrics."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torchmetrics.functional import classification as measure

from reslab.evaluation import ECE_BINS

DIGITS = 6  # of a probability in files


@dataclass(frozen=True)
class Predictions:
    """Softmax probabilities fp32 `[N, K]` of labelled images, labels int64 `[N]`, class names."""

    probabilities: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    @property
    def predicted(self) -> np.ndarray:
        """The likeliest class of each, int64 `[N]`."""
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> np.ndarray:
        """Its probability, `[N]`."""
        return self.probabilities.max(1)

    @property
    def right(self) -> np.ndarray:
        """Whether it is the label, bool `[N]`."""
        return self.predicted == self.labels


def is_sure(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Whether an answer reaches the threshold, at the six digits with which it is written."""
    return np.round(confidence.astype(np.float64), DIGITS) >= threshold


def of_logits(logits: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]) -> Predictions:
    """Predictions from logits `[N, K]`, computed in fp32."""
    probabilities = torch.from_numpy(logits).float().softmax(1).numpy()
    return Predictions(probabilities, labels.astype(np.int64), class_names)


def summarize(predictions: Predictions, threshold: float) -> dict[str, Any]:
    """All metrics as plain values; shares are fractions.

    Macro averages are over the classes that occur, as truth or as prediction.

    Args:
        predictions: At least one.
        threshold: Confidence below which an answer counts as uncertain.
    """
    names = predictions.class_names
    probabilities = torch.from_numpy(predictions.probabilities)
    labels = torch.from_numpy(predictions.labels)
    top = {
        str(k): measure.multiclass_accuracy(
            probabilities, labels, top_k=k, average="micro", num_classes=len(names)
        ).item()
        for k in (1, 2, 3, 5)
        if k < len(names)
    }
    matrix = confusion_matrix(predictions)
    sure = is_sure(predictions.confidence, threshold)
    return {
        "images": len(labels),
        "accuracy": float(predictions.right.mean()),
        "top_k_accuracy": top,
        "ece": expected_calibration_error(predictions),
        "threshold": threshold,
        "coverage": float(sure.mean()),
        "accuracy_when_sure": float(predictions.right[sure].mean()) if sure.any() else None,
        "macro": {key: value.item() for key, value in _scores(predictions, "macro").items()},
        "weighted": {key: value.item() for key, value in _scores(predictions, "weighted").items()},
        "per_class": per_class(predictions),
        "confusion": matrix.tolist(),
        "confused_pairs": most_confused(matrix, names),
    }


def per_class(predictions: Predictions) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of images of every class, as plain values."""
    each, support = _scores(predictions, "none"), confusion_matrix(predictions).sum(1)
    return [
        {"class": name}
        | {key: float(values[index]) for key, values in each.items()}
        | {"support": int(support[index])}
        for index, name in enumerate(predictions.class_names)
    ]


def _scores(
    predictions: Predictions, average: Literal["none", "macro", "weighted"]
) -> dict[str, torch.Tensor]:
    probabilities = torch.from_numpy(predictions.probabilities)
    labels = torch.from_numpy(predictions.labels)
    kind: dict[str, Any] = {"num_classes": len(predictions.class_names), "average": average}
    return {
        "precision": measure.multiclass_precision(probabilities, labels, **kind),
        "recall": measure.multiclass_recall(probabilities, labels, **kind),
        "f1": measure.multiclass_f1_score(probabilities, labels, **kind),
    }


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Counts `[K, K]`: a row for each truth, a column for each prediction."""
    return measure.multiclass_confusion_matrix(
        torch.from_numpy(predictions.predicted),
        torch.from_numpy(predictions.labels),
        num_classes=len(predictions.class_names),
    ).numpy()


def most_confused(
    matrix: np.ndarray, names: tuple[str, ...], limit: int = 10
) -> list[dict[str, Any]]:
    """The commonest mistakes: truth, prediction, count."""
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    pairs = [np.unravel_index(index, matrix.shape) for index in order]
    return [
        {
            "truth": names[truth],
            "predicted": names[predicted],
            "count": int(matrix[truth, predicted]),
        }
        for truth, predicted in pairs
        if mistakes[truth, predicted]
    ]


def expected_calibration_error(predictions: Predictions) -> float:
    """ECE with 15 bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    return float(
        measure.multiclass_calibration_error(
            torch.from_numpy(predictions.probabilities),
            torch.from_numpy(predictions.labels),
            num_classes=len(predictions.class_names),
            n_bins=ECE_BINS,
        )
    )


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of similar confidence: how many, how sure on average, and how often right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(predictions: Predictions) -> list[ReliabilityBin]:
    """The bins of the expected calibration error that are not empty."""
    edges = np.linspace(0, 1, ECE_BINS + 1)
    number = np.clip(np.ceil(predictions.confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    bins = []
    for index in np.unique(number):
        chosen = number == index
        bins.append(
            ReliabilityBin(
                float(edges[index]),
                float(edges[index + 1]),
                int(chosen.sum()),
                float(predictions.confidence[chosen].mean()),
                float(predictions.right[chosen].mean()),
            )
        )
    return bins


def by_threshold(
    confidence: np.ndarray, right: np.ndarray | None = None, steps: int = 100
) -> list[dict[str, float | None]]:
    """Coverage, and accuracy of what is covered, for thresholds from 0 to 1.

    Args:
        confidence: Of each answer, `[N]`.
        right: Whether each is right, bool `[N]`, if that is known.
        steps: Between the thresholds.
    """
    rows: list[dict[str, float | None]] = []
    for threshold in np.linspace(0, 1, steps + 1).round(DIGITS).tolist():
        sure = is_sure(confidence, threshold)
        accuracy = float(right[sure].mean()) if right is not None and sure.any() else None
        rows.append({"threshold": threshold, "coverage": float(sure.mean()), "accuracy": accuracy})
    return rows
