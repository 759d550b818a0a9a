"""Whether two runs came to the same bits, and where they part."""

import csv
from collections.abc import Iterator
from typing import Any

from reslab.runs import checkpoint as files
from reslab.runs.store import RunDirectory

PARTS = {
    "state_dict": "weights",
    "optimizer_states": "optimizer",
    "lr_schedulers": "schedule",
    "random_states": "random states",
    "random_states_of_others": "random states of other processes",
    "callbacks": "history and best weights",
    "global_step": "step",
}


def differences(run: RunDirectory, whole: RunDirectory) -> Iterator[str]:
    """What is not the same to the bit in two finished runs that kept their state, but for times.

    Args:
        run: The run that was killed.
        whole: The one that was not.
    """
    yield from _differing_rows(run, whole)
    one, other = files.load(run.state_kept), files.load(whole.state_kept)
    for part, name in PARTS.items():
        yield from _counted(name, one.get(part), other.get(part))
    one, other = files.load(run.best), files.load(whole.best)
    yield from _counted("best.ckpt", one["state_dict"], other["state_dict"])
    for path in (run.gradients_file, run.predictions_file):
        if path.read_bytes() != (whole.path / path.name).read_bytes():
            yield f"{path.name} differs"


def rows_without_times(run: RunDirectory) -> list[dict[str, str]]:
    """The rows of `metrics.csv` as they stand there, without the columns of clocks."""
    with run.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: text for key, text in row.items() if "seconds" not in key} for row in rows]


def _differing_rows(run: RunDirectory, whole: RunDirectory) -> Iterator[str]:
    """The first epoch that differs, and in what."""
    ours, theirs = rows_without_times(run), rows_without_times(whole)
    for row, other in zip(ours, theirs, strict=False):
        if row != other:
            keys = [key for key in other if row.get(key) != other[key]]
            texts = ", ".join(f"{key} {row.get(key)} in place of {other[key]}" for key in keys)
            where = f"from epoch {other['epoch']} on, which ends with step {other['step']}"
            yield f"metrics.csv {where}: {texts}"
            return
    if len(ours) != len(theirs):
        yield f"metrics.csv has {len(ours)} epochs in place of {len(theirs)}"


def _counted(name: str, one: Any, other: Any) -> Iterator[str]:
    """A line about all the values of a part that differ."""
    found = list(_differing(one, other, ""))
    if found:
        gaps = [gap for _, gap in found if gap is not None]
        by = f", by {max(gaps):.3g} at the most" if gaps else ""
        first = found[0][0].lstrip(".")
        yield f"{name}: {len(found)} differ{by}" + (f", first {first}" if first else "")


def _differing(one: Any, other: Any, at: str) -> Iterator[tuple[str, float | None]]:
    """Where values differ, and by how much if these are numbers; but for clocks."""
    import torch

    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys([*one, *other]):
            if "seconds" in str(key) or key == "before":  # of the history: clocks
                continue
            if key in one and key in other:
                yield from _differing(one[key], other[key], f"{at}.{key}")
            else:
                yield f"{at}.{key}", None
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            yield at, None
        else:
            for index, pair in enumerate(zip(one, other, strict=True)):
                yield from _differing(*pair, f"{at}[{index}]")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            yield at, None
        elif not torch.equal(_bytes(one), _bytes(other)):
            yield at, float((one.double() - other.double()).abs().max())
    elif type(one) is not type(other) or repr(one) != repr(other):  # which tells -0.0 from 0.0
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        yield at, abs(one - other) if numbers else None


def _bytes(tensor: Any) -> Any:
    import torch

    return tensor.contiguous().reshape(-1).view(torch.uint8)
