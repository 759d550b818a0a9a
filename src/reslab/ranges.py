"""Numbers that were given: whether they are of the right kind, and within their range."""

import math
from collections.abc import Iterator
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
    "split_seed": (0, 2**32 - 1),
    "val_size": (1, math.inf),
}


@dataclass(frozen=True)
class Range:
    """What a number may be, ends included."""

    low: float
    high: float
    whole: bool


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
    _check(name, value, low, high, int, "a whole number")


def check_number(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Refuses what is no number in a range, ends included.

    Raises:
        ValueError: It is not; the message begins with the name.
    """
    _check(name, value, low, high, (int, float), "a number")


def _check(name: str, value: Any, low: float, high: float, kinds: Any, kind: str) -> None:
    if (notes := _noted.get()) is not None:
        notes.append((name, Range(low, high, kinds is int)))
    if not isinstance(value, kinds) or isinstance(value, bool) or not low <= value <= high:
        limit = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise ValueError(f"{name} must be {kind} {limit}, got {value}")
