"""Slots: the parts of a machine that are given to one run each."""

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import Literal

import psutil

from reslab.errors import UserError
from reslab.runs.request import THREADS

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """Where one run at a time computes.

    Attributes:
        name: What people know it by.
        gpu: The one GPU that its runs see, as CUDA is told of it; None: whatever there is.
        threads: How many threads they have on the processor; None: as many as there are cores.
        claim: Whether its runs have the GPU alone, as `claims` sees to, or beside others that
            share it; None: whoever has it has let them.
    """

    name: str
    gpu: str | None = None
    threads: int | None = None
    claim: Literal["alone", "shared"] | None = "alone"

    @property
    def variables(self) -> dict[str, str]:
        """What the environment of its runs says."""
        said = {VISIBLE: self.gpu, THREADS: self.threads}
        return {name: str(value) for name, value in said.items() if value is not None}


def find_slots(
    count: int | None = None, runs_per_gpu: int = 1, *, on_gpus: bool = True
) -> list[Slot]:
    """Shares this machine out: a GPU to a run, or without GPUs a share of the cores.

    Args:
        count: How many slots; None: as many as there are GPUs times `runs_per_gpu`, or one.
        runs_per_gpu: How many runs may be on one GPU at a time, beside each other.
        on_gpus: Whether any run computes on a GPU where there is one.

    Raises:
        UserError: A number is not positive, or there are more slots than GPUs for them.
    """
    for name, number in (("slots", count), ("runs_per_gpu", runs_per_gpu)):
        if number is not None and number < 1:
            raise UserError(f"hydra.launcher.{name} must be at least 1, got {number}")
    gpus = find_gpus() if on_gpus else []
    if count is None:
        count = max(1, len(gpus) * runs_per_gpu)
    threads = max(1, num_threads() // count) if count > 1 else None
    if not gpus:
        parts = [f"part {at + 1} of {count} of the cores" for at in range(count)]
        return [Slot(part if count > 1 else "all cores", None, threads) for part in parts]
    if count > len(gpus) * runs_per_gpu:
        there = "is 1 GPU" if len(gpus) == 1 else f"are {len(gpus)} GPUs"
        raise UserError(
            f"hydra.launcher.slots={count}: there {there}, and hydra.launcher.runs_per_gpu="
            f"{runs_per_gpu} for each: give more runs to a GPU, or fewer slots"
        )
    places = list(range(len(gpus))) * runs_per_gpu  # one on each before a second on any
    claim: Literal["alone", "shared"] = "shared" if runs_per_gpu > 1 else "alone"
    return [Slot(f"GPU {at}", gpus[at], threads, claim) for at in places[:count]]


def find_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them.

    Asked of the driver's own command, since torch takes seconds to answer and then holds them.
    """
    if (chosen := os.environ.get(VISIBLE)) is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ["mps"]  # the one that there is, whatever it is called
    return [uuid for _, uuid in _gpus_of_the_driver()]


def uuid_of(gpu: str) -> str:
    """The one name of a GPU, which may be called by its place or by a part of that name."""
    names = (uuid for place, uuid in _known_gpus() if gpu == place or uuid.startswith(gpu))
    return next(names, gpu)


@cache
def _known_gpus() -> list[tuple[str, str]]:
    return _gpus_of_the_driver()


def _gpus_of_the_driver() -> list[tuple[str, str]]:
    """Place and UUID of each, nothing without the driver's command."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):  # there is no such driver
        return []
    lines = (line.partition(",") for line in done.stdout.splitlines())
    return [(place.strip(), uuid.strip()) for place, _, uuid in lines]


def num_threads() -> int:
    """How many threads a run has by itself: what the environment says, or one a core."""
    said = os.environ.get(THREADS, "").partition(",")[0]
    if said.isdigit() and int(said) > 0:
        return int(said)
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return min(cores, len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else cores
