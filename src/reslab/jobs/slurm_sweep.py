"""A sweep on a cluster: what is not in its queue is submitted, and waited for if that is wanted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UserError
from reslab.jobs import slurm
from reslab.jobs.account import ELSEWHERE, Account, Ended, Swept
from reslab.jobs.cell import Cell
from reslab.jobs.slurm import Cluster, Task
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_queue import Queued, conclude, is_finished, locked, submit
from reslab.reporter import Reporter
from reslab.runs.control import signals_heard

SECONDS_BETWEEN_QUESTIONS = 5.0  # for which one machine answers all users of a cluster
SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_FOR_FILES = 60.0  # that another machine has written, to be seen here


@dataclass
class _Waited:
    """A cell that is waited for."""

    cell: Cell
    queued: Queued
    task: Task | None = None
    over_since: float | None = None


class SlurmSweep:
    """Cells that a cluster runs.

    What is in its queue already, by whatever command, is not submitted again, and waited for too.

    Args:
        cells: The cells.
        options: What is asked of the cluster.
        reporter: Is told of each as it begins and ends, and shown how far they are.
        on_finished: What else is done when one is finished; an error of the user's in it is the
            cell's.
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
        self._waited: list[_Waited] = []
        self._signals: list[int] = []
        self._is_silent = False  # the cluster

    def run(self) -> Swept:
        """Submits what is to be submitted, and waits for all.

        A signal ends the waiting and no job: the same command waits again.

        Raises:
            UserError: There is no cluster here.
        """
        self._submit()
        if not self.options.wait:
            self._tell_where_they_stand()
            return Swept(tuple(self.account.ends), None)
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            asked = float("-inf")
            while self._waited and not self._signals:
                for one in [one for one in self._waited if is_finished(one.cell.directory)]:
                    self._take(one)
                if time.monotonic() - asked >= SECONDS_BETWEEN_QUESTIONS:
                    self._ask_for_all()
                    asked = time.monotonic()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        if self._waited:
            names = ",".join(sorted({one.queued.name for one in self._waited}))
            self.reporter.say(
                f"{len(self._waited)} cells stay in the queue, and the same command waits for them "
                f"again; `scancel --name={names}` would end them"
            )
        return Swept(tuple(self.account.ends), self._signals[0] if self._waited else None)

    def _submit(self) -> None:
        refused = ""
        limit = self.options.array_parallelism
        at_once = f", at most {limit} at once" if limit else ""
        try:
            for job, part in submit(self.cells, self.options, Cluster.here()):
                cells = "1 cell is" if len(part) == 1 else f"{len(part)} cells are"
                self.reporter.say(f"{cells} queued as job {job}{at_once}")
        except UserError as error:
            refused = str(error)
        for cell in self.cells:
            if queued := Queued.read(cell.directory):
                self._waited.append(_Waited(cell, queued))
            elif cell.directory.is_running():
                self.account.take(Ended(cell, "elsewhere", ELSEWHERE, 0.0))
            elif cell.directory.record_file.exists():  # by an earlier command's job, just now
                self.account.take(Ended(cell, "finished", "", 0.0))
            else:
                reason = refused or cell.directory.why()
                self.account.take(Ended(cell, "failed", reason, 0.0))

    def _tell_where_they_stand(self) -> None:
        tasks = self._ask()
        for one in self._waited:
            task = tasks.get(one.queued.key)
            where = f"queued as {one.queued.name}, place {one.queued.index}"
            if task:
                where = f"{task.state.lower()} as {task.job} ({task.reason})"
            self.account.take(Ended(one.cell, "queued", where, 0.0))

    def _ask_for_all(self) -> None:
        tasks = self._ask()
        if self._is_silent:
            return
        for one in list(self._waited):
            before, one.task = one.task, tasks.get(one.queued.key)
            if one.task is None or one.task.is_over:
                self._take_if_it_is_seen(one)
            elif one.task.is_running and not (before and before.is_running):
                self.account.say(one.cell, f"begun on {one.task.reason} as {one.task.job}")
            elif before and before.is_running and not one.task.is_running:
                self.account.say(one.cell, f"queued again ({one.task.reason})")

    def _take_if_it_is_seen(self, one: _Waited) -> None:
        """Takes what has ended, once its files are here that say how."""
        now = time.monotonic()
        one.over_since = one.over_since or now
        may_be_finished = one.task is None or one.task.state == "COMPLETED"
        late = now - one.over_since > SECONDS_FOR_FILES
        if late or not may_be_finished or one.cell.directory.record_file.exists():
            self._take(one)

    def _take(self, one: _Waited) -> None:
        run, task = one.cell.directory, one.task
        with locked(run.path.parent):
            reason = conclude(run, one.queued, task)
        self._waited.remove(one)
        if not reason:
            self.account.take(Ended(one.cell, "finished", "", 0.0))
        elif task and task.was_stopped:
            self.account.take(Ended(one.cell, "stopped", "stopped", 0.0))
        else:
            self.account.take(Ended(one.cell, "failed", reason, 0.0))

    def _ask(self) -> dict[tuple[str, int], Task]:
        """What the cluster says; a cluster that says nothing for a while has lost no job."""
        try:
            tasks = slurm.look(one.queued.name for one in self._waited)
        except UserError as error:
            if not self._is_silent:
                self.reporter.warn(f"{error}; waiting until it answers")
            self._is_silent = True
            return {}
        self._is_silent = False
        return tasks

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all of the cells."""
        waited = list(self._waited)
        running = [o.cell.directory.path for o in waited if o.task and o.task.is_running]
        parts = self.account.counts()
        parts += [f"{len(running)} running"] if running else []
        parts += [f"{len(waited) - len(running)} queued"] if len(waited) > len(running) else []
        return running, ", ".join(parts)
