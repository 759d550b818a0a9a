"""A sweep: cells through a pool until all have ended, said line by line as they do."""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from reslab.errors import UserError
from reslab.jobs.account import ELSEWHERE, Account, Ended, Swept
from reslab.jobs.cell import Cell
from reslab.jobs.claims import TakenError
from reslab.jobs.pool import Job, Pool
from reslab.jobs.queued import in_the_way
from reslab.jobs.slots import Slot
from reslab.jobs.slurm_queue import settle
from reslab.progress import in_words
from reslab.reporter import Reporter
from reslab.runs.control import signals_heard

SECONDS_BETWEEN_LOOKS = 0.1
FEW_LOOKS = 5  # after which it is not another command's look that was in the way
FEW_SECONDS = 5.0  # of which nobody needs to be told that they are left


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
        self.account, self.pool = Account(cells, reporter, on_finished), Pool(slots)
        self.reporter = reporter
        self._waiting = list(cells)
        self._signals: list[int] = []
        self._answered = 0
        self._looks_in_vain = 0

    def run(self) -> Swept:
        """Runs the cells.

        The first signal has all that goes on save and end, and nothing new begin; Ctrl-C after it
        ends them at once. A cell that fails or is stopped by itself leaves the others alone;
        one that another process runs, or a cluster is to, is left to that.
        """
        settle(cell.directory for cell in self.account.cells)
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            try:
                while self._waiting or self.pool.running:
                    self._answer()
                    while self._waiting and self.pool.has_room:
                        self._start(self._waiting.pop(0))
                    self._say_what_is_waited_for()
                    for end in self.pool.look():
                        self.account.take(end, self._left)
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            except BaseException:
                self.pool.stop()
                raise
        return Swept(tuple(self.account.ends), self._signals[0] if self._signals else None)

    def _start(self, cell: Cell) -> None:
        run = cell.directory
        whose = ELSEWHERE if run.is_running() else in_the_way(run)
        if whose:  # and its output is that of the process there
            return self.account.take(Ended(cell, "elsewhere", whose, 0.0))
        try:
            job = self.pool.start(cell)
        except TakenError:
            return self._waiting.insert(0, cell)
        except UserError as error:
            return self.account.take(Ended(cell, "failed", str(error), 0.0))
        self.account.say(cell, job.beginning)

    def _say_what_is_waited_for(self) -> None:
        """Says once that nothing begins since other commands have the GPUs."""
        is_waiting = self._waiting and not self.pool.running
        self._looks_in_vain = self._looks_in_vain + 1 if is_waiting else 0
        if self._looks_in_vain == FEW_LOOKS:
            self.reporter.say("waiting for a GPU: other commands have runs on all of them")

    def _answer(self) -> None:
        """Does what the signals ask for that have come since one last looked."""
        for at in range(self._answered, len(self._signals)):
            if at == 0:
                self._waiting.clear()
                self.reporter.say(self.pool.stop())
            elif self._signals[at] == signal.SIGINT:
                self.pool.send(signal.SIGKILL)
        self._answered = len(self._signals)

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all of the cells."""
        running = [job.cell.directory.path for job in self.pool.running]
        return running, ", ".join(filter(None, [*self.account.counts(), self._left()]))

    def _left(self) -> str:
        if self._signals:
            return ""
        ends, slots = self.account.ends, len(self.pool.slots)
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
