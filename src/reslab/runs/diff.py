"""What sets two runs apart: configuration, code, environment, curves, single images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reslab.errors import UserError
from reslab.runs.history import METRICS, read_history
from reslab.runs.identity import as_read, differing_keys, hashed_config, select
from reslab.runs.store import RunDirectory

ENVIRONMENT = (
    *("hardware", "precision", "threads", "versions", "git", "code_digest", "data_digest"),
    *("cpu_capability", "world_size", "batch_norm"),
)
RESULTS = ("test/accuracy", "test/loss", "last/test/accuracy", "epochs", "best_epoch", "seconds")


@dataclass(frozen=True)
class Difference:
    """What differs between two finished runs.

    Attributes:
        config: Dotted key to both values.
        environment: The same, of what a result may depend on besides.
        results: The same, of what the records say.
        curves: For each metric the epoch from which it differs and by how much at the most.
        lost: Test images that the first has right and the second wrong.
        gained: Test images that the second has right and the first wrong.
        images: How many there are; None where the test sets differ.
    """

    config: dict[str, tuple[Any, Any]]
    environment: dict[str, tuple[Any, Any]]
    results: dict[str, tuple[Any, Any]]
    curves: dict[str, tuple[int, float]]
    lost: tuple[int, ...]
    gained: tuple[int, ...]
    images: int | None


def diff(first: RunDirectory, second: RunDirectory) -> Difference:
    """Compares two finished runs.

    Raises:
        UserError: One of them is not finished, or a file of it is damaged.
    """
    records = []
    for run in (first, second):
        record = run.record()
        if record is None:
            raise UserError(f"{run.path} is not finished: there is nothing to compare")
        records.append(record)
    one, other = records
    config, their_config = (hashed_config(run.config()) for run in (first, second))
    history, their_history = (read_history(run.metrics_file) for run in (first, second))
    lost, gained, images = _flipped(first, second)
    return Difference(
        {
            key: (as_read(select(config, key)), as_read(select(their_config, key)))
            for key in differing_keys(config, their_config)
        },
        _differing(one.as_json(), other.as_json(), ENVIRONMENT),
        _differing(one.as_json(), other.as_json(), RESULTS),
        _curves(history, their_history),
        lost,
        gained,
        images,
    )


def _differing(
    one: dict[str, Any], other: dict[str, Any], keys: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    pairs = {key: (one.get(key), other.get(key)) for key in keys}
    return {key: (a, b) for key, (a, b) in pairs.items() if a != b and not (a != a and b != b)}


def _curves(one: pd.DataFrame, other: pd.DataFrame) -> dict[str, tuple[int, float]]:
    epochs = min(len(one), len(other))
    found = {}
    for key in METRICS:
        ours, theirs = (frame[key][:epochs].to_numpy() for frame in (one, other))
        differ = ~np.isclose(ours, theirs, rtol=0, atol=0, equal_nan=True)
        if differ.any():
            gap = float(np.nanmax(np.abs(ours - theirs)))
            found[key] = (int(np.flatnonzero(differ)[0]) + 1, gap)
    return found


def _flipped(
    first: RunDirectory, second: RunDirectory
) -> tuple[tuple[int, ...], tuple[int, ...], int | None]:
    ours, labels, _ = first.predictions()
    theirs, their_labels, _ = second.predictions()
    if not np.array_equal(labels, their_labels):
        return (), (), None
    right, their_right = ours.argmax(1) == labels, theirs.argmax(1) == labels
    lost, gained = np.flatnonzero(right & ~their_right), np.flatnonzero(their_right & ~right)
    return tuple(lost.tolist()), tuple(gained.tolist()), len(labels)
