"""Numbers that were given: whether they are of the right kind, and within their range."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

# Those of `ImageData`, lowest and highest: requests are checked by them without its libraries.
IMAGE_DATA = {
    "batch_size": (1, math.inf),
    "channels": (1, math.inf),
    "num_classes": (2, math.inf),
    "seed": (0, 2**32 - 1),
    "size": (1, math.inf),
    "small_epochs": (1, math.inf),
    "small_size": (1, math.inf),
    "split_seed": (0, 2**32 - 1),
    "val_size": (1, math.inf),
}
OPTIONAL_IMAGE_DATA = ("val_size", "small_size", "small_epochs")  # which may be null

BEYOND = 1e6  # which nobody would type: the range has no end to speak of


@dataclass(frozen=True)
class Range:
    """What a number may be, ends included unless it is said that they are not."""

    low: float
    high: float
    whole: bool
    without_low: bool = False
    without_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.without_low else value >= self.low
        below = value < self.high if self.without_high else value <= self.high
        return above and below

    def in_words(self, value: Any = None) -> str:
        """As forms and errors have it; an end that nobody would reach is named if a value has."""
        low = f"above {self.low:.10g}" if self.without_low else f"at least {self.low:.10g}"
        if self.high == math.inf:
            return low
        if self.high >= BEYOND and not (_is_number(value) and value > self.high):
            return low
        high = f"{'below ' if self.without_high else ''}{self.high:.10g}"
        if self.without_low:
            return f"{low} and at most {high}"
        return f"from {self.low:.10g} to {high}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_noted: ContextVar[list[tuple[str, Range]] | None] = ContextVar("noted", default=None)


@contextmanager
def noted() -> Iterator[list[tuple[str, Range]]]:
    """The names and ranges that are asked about while this is entered, as by a constructor."""
    notes: list[tuple[str, Range]] = []
    token = _noted.set(notes)
    try:
        yield notes
    finally:
        _noted.reset(token)


def check_whole(name: str, value: Any, low: int, high: float = math.inf) -> None:
    """Refuses what is no whole number in a range, ends included.

    Raises:
        ValueError: It is not; the message begins with the name.
    """
    _check(name, value, Range(low, high, whole=True))


def check_wholes(name: str, values: Any, low: int) -> None:
    """Refuses what is no list of whole numbers of at least `low`, one or more.

    Raises:
        ValueError: It is not; the message begins with the name.
    """
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ValueError(f"{name} must be a list, such as [{low}, {low + 1}], got {values}")
    if not values:
        raise ValueError(f"{name} must have at least one entry, got []")
    for value in values:
        check_whole(name, value, low)


def check_number(
    name: str,
    value: Any,
    low: float,
    high: float = math.inf,
    *,
    without_low: bool = False,
    without_high: bool = False,
) -> None:
    """Refuses what is no number in a range, ends included unless it is said that they are not.

    Raises:
        ValueError: It is not; the message begins with the name.
    """
    _check(name, value, Range(low, high, False, without_low, without_high))


def _check(name: str, value: Any, limits: Range) -> None:
    if (notes := _noted.get()) is not None:
        notes.append((name, limits))
    # Of 1.0 nobody knows: to Lightning it is the whole.
    if limits.whole and isinstance(value, float) and value.is_integer() and 1 < value in limits:
        raise ValueError(f"{name} must be a whole number, written as {value:.0f}, got {value}")
    is_of_kind = isinstance(value, int) if limits.whole else isinstance(value, int | float)
    if not (is_of_kind and _is_number(value) and value in limits):
        kind = "a whole number" if limits.whole else "a number"
        raise ValueError(f"{name} must be {kind} {limits.in_words(value)}, got {value}")
