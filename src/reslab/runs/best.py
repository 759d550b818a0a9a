"""Which epoch is the best."""

import math
from collections.abc import Iterable

from reslab.monitor import better_is


def is_better(value: float, than: float | None, monitor: str) -> bool:
    """Whether a metric is a strict improvement: any number is one over None, NaN never."""
    if math.isnan(value):
        return False
    if than is None:
        return True
    return value < than if better_is(monitor) == "min" else value > than


def best_of(values: Iterable[float], monitor: str) -> int:
    """The number, from 1, of the epoch with the best of a metric's values; 0 where none is."""
    epoch, best = 0, None
    for number, value in enumerate(values, 1):
        if is_better(value, best, monitor):
            epoch, best = number, value
    return epoch
