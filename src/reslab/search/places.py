"""Where trials run, and what a searcher knows of one that it has."""

from dataclasses import dataclass
from typing import Protocol

from optuna.trial import Trial

from reslab.jobs.cell import Cell
from reslab.jobs.pool import Ended, Job


class Places(Protocol):
    """Where cells run: a pool of this machine's, or whatever else takes and gives up cells."""

    @property
    def has_room(self) -> bool: ...
    @property
    def running(self) -> list[Job]: ...
    def start(self, cell: Cell) -> Job: ...
    def look(self) -> list[Ended]: ...
    def send(self, signum: int) -> None: ...


@dataclass
class Open:
    """A trial that this searcher has.

    Attributes:
        trial: What Optuna calls it.
        cell: Its run.
        job: Its process, None as long as another has its run.
        reported: How many epochs the study knows of.
        pruned: Whether it was asked to stop since others were better.
    """

    trial: Trial
    cell: Cell
    job: Job | None = None
    reported: int = 0
    pruned: bool = False
