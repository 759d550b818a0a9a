"""What could go wrong on this machine, looked at before it does; nothing is changed."""

import contextlib
import os
import platform
import shutil
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from reslab import locks
from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.jobs.slots import find_gpus, num_threads
from reslab.jobs.slurm import Cluster
from reslab.machine import check_compiler, choose_device, describe_hardware, supports_bf16

GIB = 2**30
ENOUGH = 5 * GIB  # for a data set, and the checkpoints of a table's runs

USUAL = ("mnist", "cifar10")
OTHERS = ("fashion_mnist", "cifar100")  # data sets that are looked at where anything of them lies

COMPROMISED = "a compromised release: change the passwords and keys of every machine that ran it"
# Versions that the bounds in `pyproject.toml` leave out, and why.
KNOWN_BAD = {
    ("lightning", "2.6.2"): COMPROMISED,
    ("lightning", "2.6.3"): COMPROMISED,
}


@dataclass(frozen=True)
class Finding:
    """What one look has found.

    Attributes:
        of: What was looked at.
        state: `fine`, a `remark` that may matter, or a `fault` by which a command would fail.
        text: What was seen.
        advice: What to do about it, empty where nothing is to be done.
    """

    of: str
    state: Literal["fine", "remark", "fault"]
    text: str
    advice: str = ""


def examine(data_dir: Path, runs_dir: Path) -> Iterator[Finding]:
    """Looks at one thing after another, the slow ones last.

    Args:
        data_dir: Where data sets lie, or are to lie.
        runs_dir: The same for runs.
    """
    yield from versions()
    yield from hardware()
    yield from compiler()
    for of, folder in (("runs", runs_dir), ("data", data_dir)):
        yield from room(of, folder)
    yield from browser()
    yield from slurm()
    for name in (*USUAL, *OTHERS):
        yield from data(name, data_dir)


def versions(of: Callable[[str], str] = version) -> Iterator[Finding]:
    """Packages that are missing or beyond the bounds that reslab was tested within.

    Args:
        of: Gives a package's version, or raises PackageNotFoundError.
    """
    whole = True
    for text in requires("reslab") or []:
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            there = of(wanted.name)
        except PackageNotFoundError:
            there = ""
        bad = KNOWN_BAD.get((wanted.name, there))
        if there and not bad and wanted.specifier.contains(there, prereleases=True):
            continue
        whole = False
        seen = f"{wanted.name} {there or 'is missing'}" + (f" is {bad}" if bad else "")
        yield Finding("versions", "fault", seen, f"pip install '{wanted.name}{wanted.specifier}'")
    if whole:
        names = ("torch", "torchvision", "lightning")
        text = ", ".join(f"{name} {of(name)}" for name in names)
        yield Finding("versions", "fine", f"Python {platform.python_version()}, {text}")


def hardware() -> Iterator[Finding]:
    """The device, its precision and the threads that a run would have by itself."""
    device = choose_device("auto", "auto")
    precision = "bf16" if supports_bf16(device) else "fp32"
    yield Finding(
        "hardware",
        "fine",
        f"{describe_hardware(device)}: runs are on {device.type}, in {precision}",
    )
    if device.type == "cpu" and (gpus := find_gpus()):
        yield Finding(
            "hardware",
            "fault",
            f"the driver has {len(gpus)} GPU{'s' if len(gpus) > 1 else ''}, and torch sees none",
            "install the torch that is built for this driver's CUDA",
        )
    threads, cores = num_threads(), os.cpu_count() or 1
    if threads > cores:
        text = f"OMP_NUM_THREADS={threads} on {cores} cores"
        yield Finding("threads", "remark", text, "unset it: a thread a core is fastest")
    else:
        yield Finding("threads", "fine", f"a run has {threads} of {cores} cores' threads")


def compiler() -> Iterator[Finding]:
    """Whether steps can be compiled, as they are on a GPU."""
    device = choose_device("auto", "auto")
    try:
        check_compiler(device)
    except UserError as lack:
        without = "steps are slower" if device.type == "cuda" else "trainer.compile=true is refused"
        yield Finding("compiler", "remark", str(lack), f"install one; without it {without}")
    else:
        yield Finding("compiler", "fine", "steps can be compiled")


def room(of: str, folder: Path) -> Iterator[Finding]:
    """Whether a folder, or where it would be made, can be written into, and has locks and room."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest) as file:  # which never has a name
            locked = locks.is_for_all(file.fileno())
    except OSError as error:
        advice = f"choose another by {of}_dir=FOLDER, or have it allowed"
        yield Finding(of, "fault", f"{nearest} cannot be written into: {error.strerror}", advice)
        return
    free = shutil.disk_usage(nearest).free
    text = f"{nearest} can be written into and has {free / GIB:.0f} GiB free"
    if free < ENOUGH:
        yield Finding(of, "remark", text, f"a table's runs and data may take {ENOUGH // GIB} GiB")
    elif not locked:
        advice = "a lease is taken instead, and a killed run is free a minute later"
        yield Finding(of, "remark", f"{text}; a lock there binds this machine alone", advice)
    else:
        yield Finding(of, "fine", text)


def browser() -> Iterator[Finding]:
    """Whether the studio can be seen here."""
    with contextlib.suppress(webbrowser.Error):
        webbrowser.get()
        yield Finding("browser", "fine", "`reslab studio` opens in a browser of this machine")
        return
    advice = "`reslab studio --no-browser`, and on your own machine `ssh -L 8642:localhost:8642 "
    yield Finding("browser", "remark", "there is none here", f"{advice}MACHINE`")


def slurm() -> Iterator[Finding]:
    """Whether there is a cluster to queue in."""
    if shutil.which("sbatch") is None:
        yield Finding("SLURM", "fine", "there is none: runs are on this machine")
        return
    try:
        yield Finding("SLURM", "fine", f"hydra/launcher=slurm queues on {Cluster.here().name}")
    except UserError as error:
        advice = "ask those who run the cluster; hydra/launcher=local needs none"
        yield Finding("SLURM", "remark", f"it does not answer: {error}", advice)


def data(name: str, data_dir: Path) -> Iterator[Finding]:
    """Whether a data set's files are the official ones."""
    source: Any = instantiate(compose([f"dataset={name}"]), "dataset").source
    missing = source.missing(data_dir)
    if name in OTHERS and len(missing) == len(source.files):
        return
    if missing:
        text = f"{name} is not whole in {data_dir}: {missing[0]} is missing"
        advice = f"`reslab data {name}` fetches it"
        yield Finding("data", "remark", text, advice)
        return
    try:
        source.prepare(data_dir)  # where nothing is missing it only reads
    except UserError as error:
        yield Finding("data", "fault", str(error))
    else:
        yield Finding("data", "fine", f"{name} is whole in {data_dir}")
