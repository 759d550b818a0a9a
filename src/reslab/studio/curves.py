"""What runs write while they train, as numbers: epochs, batches, gradients; and the log's end."""

import csv
import math
import os
import re
from binascii import crc32
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from reslab.runs.store import RunDirectory
from reslab.studio.scan import Known

Column = list[float | None]
Columns = dict[str, Column]
PARTS = ("train", "val")
LOG_BYTES = 24_000  # of the log's end


def columns(one: Known) -> Columns:
    """A run's `metrics.csv`, a number an epoch: accuracies in percent, minutes from the beginning.

    What is missing, damaged or not finite is None.
    """
    header, rows = _rows(one.directory.metrics_file)

    def column(name: str, scale: float = 1.0) -> Column:
        if name not in header:
            return [None] * len(rows)
        at = header.index(name)
        numbers = [_number(row[at]) for row in rows]
        return [number if number is None else scale * number for number in numbers]

    size = one.repeat.config["dataset"].get("batch_size") if one.repeat else None
    size = size if isinstance(size, float) else None  # whatever stands in a foreign file
    steps = [0.0, *(step or 0.0 for step in column("step"))]
    return {
        "epoch": column("epoch"),
        "minutes": [total / 60 for total in accumulate(one or 0.0 for one in column("seconds"))],
        **{f"{part}/loss": column(f"{part}/loss") for part in PARTS},
        **{f"{part}/accuracy": column(f"{part}/accuracy", 100) for part in PARTS},
        "lr": column("lr"),
        "throughput": [
            size * (after - before) / seconds if size and seconds and after > before else None
            for (before, after), seconds in zip(
                pairwise(steps), column("train_seconds"), strict=True
            )
        ],
    }


def batches(run: RunDirectory) -> tuple[list[float], list[float]]:
    """Of the epoch that is under way: where within it, in epochs, and the loss of a batch there."""
    at = run.progress()
    if at is None:
        return [], []
    xs: list[float] = []
    ys: list[float] = []
    try:
        now = [(at.step, at.loss)] if at.losses else []
        for step, loss in (*at.losses, *now):
            place = at.epoch - 1 + step / at.steps_per_epoch
            if loss is not None and math.isfinite(loss) and place not in xs[-1:]:
                xs.append(place)
                ys.append(loss)
    except (TypeError, ValueError, ZeroDivisionError):  # another program's
        return [], []
    return xs, ys


def gradients(run: RunDirectory) -> dict[str, list[Any]] | None:
    """A line a layer over epochs, those of a skip dashed; None where none were kept.

    Epoch 0 is the first batch. Depth counts the layers from the image on, from 0 to 1.
    """
    header, rows = _rows(run.gradients_file)
    if not rows or not {"epoch", "layer", "norm"} <= set(header):
        return None
    layers: dict[str, tuple[list[float], list[float], str]] = {}
    for row in rows:
        one = dict(zip(header, row, strict=True))
        # Older versions wrote no path: their own joins are told by their name.
        path = one.get("path") or ("skip" if re.search(r"\bjoin\b", one["layer"]) else "main")
        xs, ys, _ = layers.setdefault(one["layer"], ([], [], path))
        epoch, norm = _number(one["epoch"]), _number(one["norm"])
        if epoch is not None and norm is not None:
            xs.append(epoch)
            ys.append(norm)
    found = list(layers.values())
    return {
        "xs": [xs for xs, _, _ in found],
        "ys": [ys for _, ys, _ in found],
        "name": list(layers),
        "depth": [at / max(1, len(found) - 1) for at in range(len(found))],
        "dash": ["dashed" if path == "skip" else "solid" for _, _, path in found],
    }


def tail(path: Path) -> str:
    """The end of a log, whole lines of it; empty where there is none."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - LOG_BYTES)
            file.seek(start)
            text = file.read(LOG_BYTES).decode(errors="replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if start else text


def stamp(*paths: Path, about: Any = None) -> str:
    """Text that is another one once one of the files is, or what is said about them."""
    return f"{crc32(repr([about, *map(_status, paths)]).encode()):08x}"


def _status(path: Path) -> Sequence[int]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    """A table's heading and its whole rows, none of what is not there or no table."""
    try:
        with path.open(newline="", errors="replace") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error):
        return [], []
    whole = next((at for at, row in enumerate(rows) if len(row) != len(header)), len(rows))
    return header, rows[:whole]


def _number(text: str) -> float | None:
    """The number that a text is, None if it is none or not finite."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
