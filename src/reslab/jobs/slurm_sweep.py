"""A sweep on a cluster: what is not in its queue is submitted, and waited for if that is wanted."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from reslab.jobs.account import Account, Ended, Swept
from reslab.jobs.cell import Cell
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_pool import SlurmPool
from reslab.reporter import Reporter
from reslab.runs.control import signals_heard

SECONDS_BETWEEN_LOOKS = 0.2


class SlurmSweep:
    """Cells that a cluster runs.

    What is in its queue already, by whatever command, is not submitted again, and waited for too.

    Args:
        cells: The cells.
        options: What is asked of the cluster.
        reporter: Is told of each as it begins and ends, and shown how far they are.
        on_finished: What else is done when one is finished; an error of the user's in it is the
            cell's.

    Raises:
        UserError: There is no cluster here.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        options: SlurmOptions,
        reporter: Reporter,
        on_finished: Callable[[Cell], None] = lambda cell: None,
    ) -> None:
        self.cells, self.options, self.reporter = tuple(cells), options, reporter
        self.account = Account(cells, reporter, on_finished)
        self.pool = SlurmPool(options, reporter)
        self._seen_running: set[Path] = set()
        self._signals: list[int] = []

    def run(self) -> Swept:
        """Submits what is to be submitted, and waits for all.

        A signal ends the waiting and no job: the same command waits again.
        """
        limit = self.options.array_parallelism
        at_once = f", at most {limit} at once" if limit else ""
        for job, number in self.pool.submit(self.cells):
            cells = "1 cell is" if number == 1 else f"{number} cells are"
            self.reporter.say(f"{cells} queued as job {job}{at_once}")
        if not self.options.wait:
            return self._tell_where_they_stand()
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            while not self._signals:
                self._look()
                if not self.pool.jobs:
                    break
                time.sleep(SECONDS_BETWEEN_LOOKS)
        left = self.pool.jobs
        if left:
            self.reporter.say(self.pool.stop())
        return Swept(tuple(self.account.ends), self._signals[0] if left else None)

    def _look(self) -> None:
        """Says what has begun, was queued again, or has ended."""
        for end in self.pool.look():
            self.account.take(end)
        for job in self.pool.jobs:
            path = job.cell.directory.path
            if job.task is None or job.task.is_over:  # its files are waited for
                continue
            if job.is_running != (path in self._seen_running):
                self._seen_running ^= {path}
                begun = f"begun on {job.task.reason} as {job.task.job}"
                again = f"queued again ({job.task.reason})"
                self.account.say(job.cell, begun if job.is_running else again)

    def _tell_where_they_stand(self) -> Swept:
        self.pool.ask()
        for end in self.pool.look():
            self.account.take(end)
        for job in self.pool.jobs:
            where = f"queued as {job.queued.name}, place {job.queued.index}"
            if job.task:
                where = f"{job.task.state.lower()} as {job.task.job} ({job.task.reason})"
            self.account.take(Ended(job.cell, "queued", where, 0.0))
        return Swept(tuple(self.account.ends), None)

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all of the cells."""
        jobs = self.pool.jobs
        running = [job.cell.directory.path for job in jobs if job.is_running]
        parts = self.account.counts()
        parts += [f"{len(running)} running"] if running else []
        parts += [f"{len(jobs) - len(running)} queued"] if len(jobs) > len(running) else []
        return running, ", ".join(parts)
