"""What the queue is made of, as it is written down."""

import contextlib
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reslab import locks
from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.runs.control import SAFE_PATH
from reslab.runs.request import THREADS
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Entry:
    """A run that waits, goes on, was refused, or was killed.

    Attributes:
        name: The run directory's.
        overrides: What to ask of Hydra.
        folder: Where the command is given.
        config_dirs: The user's own folders with configurations.
        threads: What the environment of a run that goes on said of their number, if anything.
        id: Its own, whatever the run is called.
        state: Where it stands; one that has ended is gone, unless something has ended it.
        reason: What has, one line.
        stopping: Whether it was told to stop.
        slot: Which of the slots it has.
        gpu: Its GPU, as the slot names it.
        pid: Its process.
        process_started: When that began, seconds since 1970: a pid is used again.
    """

    name: str
    overrides: tuple[str, ...]
    folder: str
    config_dirs: tuple[str, ...] = ()
    threads: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    state: Literal["waiting", "running", "failed", "interrupted"] = "waiting"
    reason: str = ""
    stopping: bool = False
    slot: int = 0
    gpu: str | None = None
    pid: int = 0
    process_started: float = 0.0

    @property
    def is_running(self) -> bool:
        """Whether it was begun, and nobody has seen its end."""
        return self.state == "running"

    @property
    def has_ended(self) -> bool:
        """Whether it is here only to say why it has ended."""
        return self.state in ("failed", "interrupted")

    def is_alive(self, runs_dir: Path) -> bool:
        """Whether its process lives, and is of this folder of runs, no copy's."""
        if not locks.is_alive(self.pid, self.process_started, socket.gethostname()):
            return False
        return locks.has_open(self.pid, self.cell(runs_dir).output) is not False

    def has_let_go(self, run: RunDirectory) -> bool:
        """Whether it had that run and has it no more: a process takes a while to end."""
        with contextlib.suppress(UserError):  # a request that is spoilt is nobody's
            request = run.request()
            return request is not None and request.pid == self.pid and not run.is_running()
        return False

    def cell(self, runs_dir: Path) -> Cell:
        """What is run."""
        return Cell(
            overrides=self.overrides,
            directory=RunDirectory(runs_dir / self.name),
            title=self.name,
            config_dirs=self.config_dirs,
            folder=Path(self.folder),
            variables=SAFE_PATH | ({THREADS: self.threads} if self.threads else {}),
        )


@dataclass
class Queue:
    """All entries in their order, and how many go on at once."""

    at_once: int = 1
    entries: list[Entry] = field(default_factory=list)

    def running(self) -> list[Entry]:
        """Those that were begun."""
        return [entry for entry in self.entries if entry.is_running]

    def put(self, changed: Entry) -> None:
        """Replaces an entry."""
        self.entries[self._place(changed)] = changed

    def remove(self, gone: Entry) -> None:
        """Takes an entry out."""
        del self.entries[self._place(gone)]

    def _place(self, entry: Entry) -> int:
        return [one.id for one in self.entries].index(entry.id)
