"""A sweep: cells through a pool until all have ended, said line by line as they do."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.jobs.pool import ELSEWHERE, Ended, Job, Pool
from reslab.jobs.slots import Slot
from reslab.progress import in_words
from reslab.reporter import Reporter
from reslab.runs.control import signals_heard
from reslab.runs.outcome import Outcome

SECONDS_BETWEEN_LOOKS = 0.1
FEW_SECONDS = 5.0  # of which nobody needs to be told that they are left
COUNTED = {"failed": "failed", "stopped": "stopped", "elsewhere": ELSEWHERE}


@dataclass(frozen=True)
class Swept:
    """What became of cells.

    Attributes:
        ends: Of each cell in turn that was begun.
        signum: The signal that stopped the sweep, None where it came to its end.
    """

    ends: tuple[Ended, ...]
    signum: int | None


class Sweep:
    """Cells that are run side by side.

    Args:
        cells: The cells, in the order in which they are begun.
        slots: Where they compute.
        reporter: Is told of each as it begins and ends, and shown how far they are.
        on_finished: What else is done then; an error of the user's in it is the cell's.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        slots: Sequence[Slot],
        reporter: Reporter,
        on_finished: Callable[[Cell], None] = lambda cell: None,
    ) -> None:
        self.cells, self.pool = tuple(cells), Pool(slots)
        self.reporter, self.on_finished = reporter, on_finished
        self._waiting = list(self.cells)
        self._ends: dict[Path, Ended] = {}
        self._signals: list[int] = []
        self._answered = 0

    def run(self) -> Swept:
        """Runs the cells.

        The first signal has all that goes on save and end, and nothing new begin; Ctrl-C after it
        ends them at once. A cell that fails or is stopped by itself leaves the others alone;
        one that another process runs is left to that.
        """
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            try:
                while self._waiting or self.pool.running:
                    self._answer()
                    while self._waiting and self.pool.has_room:
                        self._start(self._waiting.pop(0))
                    for end in self.pool.look():
                        self._take(end)
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            except BaseException:
                self.pool.send(signal.SIGTERM)
                raise
        paths = [cell.directory.path for cell in self.cells]
        ends = tuple(self._ends[path] for path in paths if path in self._ends)
        return Swept(ends, self._signals[0] if self._signals else None)

    def _start(self, cell: Cell) -> None:
        if cell.directory.is_running():  # whose output is that of the process there
            return self._take(Ended(cell, "elsewhere", ELSEWHERE, 0.0))
        try:
            job = self.pool.start(cell)
        except UserError as error:
            return self._take(Ended(cell, "failed", str(error), 0.0))
        self._say(cell, f"begun on {job.slot.name}")

    def _answer(self) -> None:
        """Does what the signals ask for that have come since one last looked."""
        for at in range(self._answered, len(self._signals)):
            if at == 0:
                self._waiting.clear()
                self.pool.send(signal.SIGTERM)
                self.reporter.say("stopping after this step; Ctrl-C again stops at once")
            elif self._signals[at] == signal.SIGINT:
                self.pool.send(signal.SIGKILL)
        self._answered = len(self._signals)

    def _take(self, end: Ended) -> None:
        if end.state == "finished":
            try:
                self.on_finished(end.cell)
            except UserError as error:
                end = replace(end, state="failed", reason=str(error))
        self._ends[end.cell.directory.path] = end
        left = self._left() if end.state == "finished" else ""
        self._say(end.cell, "; ".join(filter(None, [_in_a_line(end), left])))

    def _say(self, cell: Cell, text: str) -> None:
        number = self.cells.index(cell) + 1
        self.reporter.say(f"[{number}/{len(self.cells)}] {cell.title}: {text}")

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all of the cells."""
        states = Counter[str](end.state for end in list(self._ends.values()))
        parts = [
            f"{states['finished']} of {len(self.cells)} finished",
            *(f"{states[state]} {words}" for state, words in COUNTED.items() if states[state]),
            self._left(),
        ]
        running = [job.cell.directory.path for job in self.pool.running]
        return running, ", ".join(filter(None, parts))

    def _left(self) -> str:
        if self._signals:
            return ""
        ends, slots = list(self._ends.values()), len(self.pool.slots)
        left = seconds_left(ends, self.pool.running, list(self._waiting), slots)
        return f"about {in_words(left)} left" if left and left > FEW_SECONDS else ""


def seconds_left(
    ends: Sequence[Ended], jobs: Sequence[Job], waiting: Sequence[Cell], num_slots: int
) -> float | None:
    """How long it will be until all have ended; None before any has shown its pace, and then.

    Those that go on say so themselves; those that wait take, for their work, what the others did.

    Args:
        ends: What has ended.
        jobs: What goes on.
        waiting: What has not begun.
        num_slots: How many go on at a time.
    """
    said = [(job, job.cell.directory.progress()) for job in jobs]
    left = {job: at.seconds_left for job, at in said if at and at.seconds_left is not None}
    known = [(end.cell.work, end.seconds) for end in ends if end.state == "finished"]
    known += [(job.cell.work, job.seconds + seconds) for job, seconds in left.items()]
    if not known or not (jobs or waiting):
        return None
    pace = sum(seconds for _, seconds in known) / sum(work for work, _ in known)
    going_on = [left.get(job, max(0.0, pace * job.cell.work - job.seconds)) for job in jobs]
    total = sum(going_on) + sum(pace * cell.work for cell in waiting)
    return max(total / num_slots, *going_on, 0.0)


def _in_a_line(end: Ended) -> str:
    """What is said of a cell that has ended."""
    if end.state != "finished":
        return f"failed: {end.reason}" if end.state == "failed" else end.reason
    try:
        record = end.cell.directory.record()
    except UserError as error:
        return str(error)
    return str(Outcome(record, trained=True)) if record else end.state
