"""A pool: cells as processes, one on each slot."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from reslab.errors import UserError
from reslab.jobs.account import ELSEWHERE, Ended
from reslab.jobs.cell import Cell
from reslab.jobs.claims import TakenError, claimed, is_free
from reslab.jobs.forkserver import Forked, ForkServer, UnforkedError, is_forked
from reslab.jobs.parent import VARIABLE
from reslab.jobs.slots import Slot
from reslab.runs.control import STOPPING
from reslab.runs.store import RunDirectory


def environment(cell: Cell, slot: Slot) -> dict[str, str]:
    """The variables of a cell's process, but for the one that binds it to this process."""
    variables = os.environ | slot.variables | cell.variables
    variables.pop(VARIABLE, None)
    return variables


class Job:
    """A cell under way.

    Args:
        cell: The cell.
        slot: Where it computes.
        outlives: Whether it goes on when this process ends.
        server: What forks its process if it can, else one is started.

    Raises:
        TakenError: Another command has a run on the slot's GPU.
        UserError: Its output cannot be written, or there is no such folder.
    """

    def __init__(
        self, cell: Cell, slot: Slot, *, outlives: bool, server: ForkServer | None = None
    ) -> None:
        self.cell, self.slot = cell, slot
        self.begun, self._killed = time.monotonic(), False
        self._ends_before = cell.ends()  # of a run that is to be started over
        try:
            cell.output.parent.mkdir(parents=True, exist_ok=True)
            with claimed(slot) as claim, cell.output.open("wb") as output:
                try:
                    if server is None:
                        raise UnforkedError
                    self._process: Forked | subprocess.Popen[bytes] = server.fork(
                        cell.command, output
                    )
                except UnforkedError:
                    parent = {} if outlives else {VARIABLE: str(os.getpid())}
                    self._process = subprocess.Popen(
                        cell.command,
                        cwd=cell.folder,
                        env=environment(cell, slot) | parent,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,  # so that a terminal's Ctrl-C is not for it
                        pass_fds=claim,
                    )
        except OSError as error:
            raise UserError(f"cannot start: {error.filename}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def beginning(self) -> str:
        """What is to be said as it begins."""
        return f"begun on {self.slot.name}"

    @property
    def seconds(self) -> float:
        """How long it has lived."""
        return time.monotonic() - self.begun

    def send(self, signum: int) -> None:
        """Sends a signal to the process and to those that it has started, if it has not ended."""
        if self._process.poll() is None:
            self._killed |= signum == signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)

    def end(self) -> None:
        """Has it save and end."""
        self.send(signal.SIGTERM)

    def look(self) -> Ended | None:
        """What became of it, None as long as it goes on."""
        status = self._process.poll()
        if status is None:
            return None
        ends = self.cell.ends()
        if ends and (status == 0 or ends != self._ends_before):
            self.cell.directory.settle()  # it may have been killed before it had
            self.cell.output.unlink(missing_ok=True)  # the run's own log has it
            return Ended(self.cell, "finished", "", self.seconds)
        signum = -status if status < 0 else status - 128
        if signum in STOPPING or self._killed:
            how = "killed before it had saved" if self._killed else "stopped"
            return Ended(self.cell, "stopped", how, self.seconds)
        if status > 0 and self.cell.directory.is_running():  # though not here: this has ended
            return Ended(self.cell, "elsewhere", ELSEWHERE, self.seconds)
        reason = last = self.cell.last_line()
        if status < 0:
            killed = f"killed by signal {signum} ({signal.strsignal(signum)})"
            reason = f"{killed}, its last line: {last}" if last else killed
        reason = reason or f"it ended with status {status} and said nothing"
        self.cell.record_failure(reason)
        return Ended(self.cell, "failed", reason, self.seconds)


class Pool:
    """Cells as processes, at most one on each slot at any time.

    Args:
        slots: The slots.
        outlives: Whether the cells go on when this process ends; else they save and end with it.
    """

    def __init__(self, slots: Sequence[Slot], *, outlives: bool = False) -> None:
        self.slots, self.outlives = tuple(slots), outlives
        self._jobs: dict[int, Job] = {}  # by the slot's place: shares of one GPU are equal
        self._server: ForkServer | None = None

    @property
    def running(self) -> list[Job]:
        """What goes on."""
        return list(self._jobs.values())

    @property
    def has_room(self) -> bool:
        """Whether a slot is free, of other commands' runs, too."""
        return any(is_free(self.slots[at]) for at in self._free())

    def may_start(self, run: RunDirectory) -> bool:
        """Whether nobody has a run, nor is to have it by the queue of a cluster."""
        return not (run.job_file.exists() or run.is_running())

    def start(self, cell: Cell) -> Job:
        """Starts a cell on the first free slot.

        Raises:
            TakenError: Others have taken what was free.
            UserError: It cannot be started.
        """
        for at in self._free():
            slot = self.slots[at]
            with contextlib.suppress(TakenError):
                server = self._server_for(cell, slot)
                self._jobs[at] = job = Job(cell, slot, outlives=self.outlives, server=server)
                return job
        raise TakenError("no slot is free")

    def _server_for(self, cell: Cell, slot: Slot) -> ForkServer | None:
        """What forks a cell's process, None where it is to be started by itself.

        That is so of one that outlives this process, and of what computes on a GPU, whose claim it
        inherits from here. To fork what has imported PyTorch is safe on Linux alone. All forks have
        the folder and the environment of the first.
        """
        if self.outlives or slot.gpu is not None or sys.platform != "linux":
            return None
        asked = (cell.folder, environment(cell, slot))
        if self._server is None and is_forked(cell.command):
            with contextlib.suppress(OSError):  # which the cell's own process then says
                self._server = ForkServer(*asked)
        server = self._server
        return server if server and asked == (server.folder, server.variables) else None

    def _free(self) -> list[int]:
        return [at for at in range(len(self.slots)) if at not in self._jobs]

    def look(self) -> list[Ended]:
        """What has ended since one last looked; its slots are free from now on."""
        ended = [(at, end) for at, job in self._jobs.items() if (end := job.look())]
        for at, _ in ended:
            del self._jobs[at]
        return [end for _, end in ended]

    def stop(self) -> str:
        """Has all that goes on save and end; gives what is to be said of that."""
        self.send(signal.SIGTERM)
        return "stopping after this step; Ctrl-C again stops at once"

    def send(self, signum: int) -> None:
        """Sends a signal to all that goes on: SIGTERM has it save and end, SIGKILL end at once."""
        for job in self.running:
            job.send(signum)
