"""What a classifier says of labelled images, for who reads a table without torch, too."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

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
    probabilities = softmax(logits.astype(np.float32), axis=1)
    return Predictions(probabilities, labels.astype(np.int64), class_names)
