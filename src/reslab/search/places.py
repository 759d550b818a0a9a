"""Where trials run, and what a searcher knows of one that it has."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from optuna.trial import Trial

from reslab.errors import UserError
from reslab.jobs.account import Ended
from reslab.jobs.cell import Cell
from reslab.jobs.pool import Pool
from reslab.jobs.slots import find_slots
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_pool import SlurmPool
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory
from reslab.search.plan import Search

HERE = ("LocalLauncher", "BasicLauncher")  # which run cells on this machine
ON_A_CLUSTER = "SlurmLauncher"
AT_A_TIME = 4  # on a cluster, if nothing is asked: of more at a time the sampler learns less
WITHOUT_WAITING = "a search chooses its trials by what others came to, so that it has to wait"
WITHOUT_TRIALS = (
    "what a search submits is chosen as it goes on; `reslab train -m` with it prints the script"
)


class Placed(Protocol):
    """A cell that is queued or goes on."""

    @property
    def cell(self) -> Cell: ...
    @property
    def beginning(self) -> str: ...
    def end(self) -> None: ...


class Places(Protocol):
    """Where cells run: a pool of this machine's, or a cluster."""

    @property
    def has_room(self) -> bool: ...
    @property
    def running(self) -> Sequence[Placed]: ...
    def may_start(self, run: RunDirectory) -> bool: ...
    def start(self, cell: Cell) -> Placed: ...
    def look(self) -> list[Ended]: ...
    def stop(self) -> str: ...


@dataclass
class Open:
    """A trial that this searcher has.

    Attributes:
        trial: What Optuna calls it.
        cell: Its run.
        job: Its process or its job, None as long as another has its run.
        reported: How many epochs the study knows of.
        pruned: Whether it is to stop since others were better.
        is_told: Whether it was told to.
    """

    trial: Trial
    cell: Cell
    job: Placed | None = None
    reported: int = 0
    pruned: bool = False
    is_told: bool = False


def find_places(search: Search, reporter: Reporter) -> tuple[Places, int]:
    """Where a search's trials run by its launcher, and how many at a time.

    Raises:
        UserError: An option is wrong, makes no sense for a search, or there is no cluster here.
    """
    options = dict(search.launcher)
    launcher = str(options.pop("_target_")).rpartition(".")[2]
    if launcher == ON_A_CLUSTER:
        asked = SlurmOptions(**options)
        asked.check()
        if not asked.wait:
            raise UserError(f"hydra.launcher.wait=false: {WITHOUT_WAITING}")
        if asked.dry_run:
            raise UserError(f"hydra.launcher.dry_run=true: {WITHOUT_TRIALS}")
        number = asked.array_parallelism or AT_A_TIME
        return SlurmPool(replace(asked, array_parallelism=number), reporter), number
    if launcher not in HERE:
        raise UserError("hydra/launcher: a search runs its trials by local or slurm: choose one")
    per_gpu = {key: options[key] for key in ("runs_per_gpu",) if key in options}
    slots = find_slots(options.get("slots"), **per_gpu, on_gpus=search.on_gpus)
    return Pool(slots), len(slots)
