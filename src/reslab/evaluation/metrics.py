"""Metrics of a classifier, computed by torchmetrics."""

from typing import Any, Literal

import numpy as np
import torch
from torchmetrics.functional import classification as measure

from reslab.evaluation.calibration import expected_calibration_error
from reslab.evaluation.predictions import DIGITS, Predictions, is_sure


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
