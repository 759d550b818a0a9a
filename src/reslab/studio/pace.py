"""How long a run will take, going by those that are finished."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from reslab.runs.record import Record


@dataclass(frozen=True)
class Work:
    """What a run has to do, and on what.

    Attributes:
        dataset: The data set's name.
        hardware: As `Provenance` has it.
        macs: Multiply-accumulates of one image's forward pass.
        batch_size: Images a step.
        epochs: At the most; -1 for no end.
        batches: To how many an epoch is limited, None for all.
        steps: At the most, None for as many as the epochs have.
    """

    dataset: str
    hardware: str
    macs: int
    batch_size: int
    epochs: int
    batches: int | None
    steps: int | None


def estimate_seconds(work: Work, records: Iterable[Record]) -> float | None:
    """How long that will take, None where nothing that is finished tells.

    Runs of a network with as many multiply-accumulates on the same hardware tell how many images a
    second there are: other networks are too far from it to be scaled. How many images an epoch
    has, runs on the same data tell; validation is in it, as the time that it takes.
    """
    here = [one for one in records if one.provenance.hardware == work.hardware]
    paces = [
        one.images_per_second for one in here if one.macs == work.macs and one.images_per_second > 0
    ]
    epochs = [
        one.epoch_seconds * one.images_per_second for one in here if one.dataset == work.dataset
    ]
    limits = []
    if work.batches:
        limits.append(float(work.batches * work.batch_size))
    if epochs:  # the largest: another may have been limited to some batches
        limits.append(max(epochs))
    lengths = [float(work.steps * work.batch_size)] if work.steps else []
    if limits and work.epochs > 0:
        lengths.append(min(limits) * work.epochs)
    return min(lengths) / median(paces) if paces and lengths else None
