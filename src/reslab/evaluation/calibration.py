"""Whether a classifier is right as often as it is sure."""

from dataclasses import dataclass

import numpy as np

from reslab.evaluation import ECE_BINS
from reslab.evaluation.predictions import Predictions


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
    confidence, right, bins = predictions.confidence, predictions.right, []
    edges = np.linspace(0, 1, ECE_BINS + 1)
    number = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    for index in np.unique(number):
        chosen = number == index
        bins.append(
            ReliabilityBin(
                float(edges[index]),
                float(edges[index + 1]),
                int(chosen.sum()),
                float(confidence[chosen].mean()),
                float(right[chosen].mean()),
            )
        )
    return bins


def expected_calibration_error(predictions: Predictions) -> float:
    """ECE with 15 bins (Guo et al. 2017, https://arxiv.org/abs/1706.04599) of at least one."""
    gaps = [one.count * abs(one.accuracy - one.confidence) for one in reliability(predictions)]
    return sum(gaps) / len(predictions.labels)
