"""Cells as jobs of a cluster, from their submission to their ends."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from reslab.errors import UserError
from reslab.jobs import slurm
from reslab.jobs.account import ELSEWHERE, Ended
from reslab.jobs.cell import Cell
from reslab.jobs.queued import Queued, is_finished
from reslab.jobs.slurm import Cluster, Task
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_queue import conclude, locked, submit
from reslab.reporter import SILENT, Reporter
from reslab.runs.store import InUseError, RunDirectory

SECONDS_BETWEEN_QUESTIONS = 5.0  # for which one machine answers all users of a cluster
MOST_IN_A_LOOK = 100  # folders, several times a second
SECONDS_FOR_FILES = 60.0  # that another machine has written, to be seen here
UNTESTED = "the job that had it was to end before its test"


@dataclass
class SlurmJob:
    """A cell in the queue of a cluster, or on a node.

    Attributes:
        cell: The cell.
        queued: What is written down of it.
        task: What the cluster last said of it, None as long as it was not asked.
        over_since: When it was seen to have ended, whose files are not here yet.
        begun: When it was first seen on a node.
        was_ended: Whether it was ended from here.
    """

    cell: Cell
    queued: Queued
    task: Task | None = None
    over_since: float | None = None
    begun: float | None = None
    was_ended: bool = False

    @property
    def is_running(self) -> bool:
        """Whether it is on a node."""
        return self.task is not None and self.task.is_running

    @property
    def beginning(self) -> str:
        """What is to be said as it is submitted, or taken up."""
        return f"queued as {self.queued.name}"

    @property
    def seconds(self) -> float:
        """How long it has been on nodes."""
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    def end(self) -> None:
        """Has it save, if it is running, and end.

        Raises:
            UserError: The cluster does not answer.
        """
        self.was_ended = True
        slurm.cancel(*self.queued.key)


class SlurmPool:
    """Cells on a cluster, as many at a time as its options say.

    Args:
        options: What is asked of the cluster.
        reporter: Is warned when the cluster does not answer, or a disk takes nothing.

    Raises:
        UserError: There is no cluster here.
    """

    def __init__(self, options: SlurmOptions, reporter: Reporter = SILENT) -> None:
        self.options, self.reporter = options, reporter
        self.cluster = Cluster.here()
        self._jobs: list[SlurmJob] = []
        self._leaving: list[SlurmJob] = []  # whose run is finished, and whose process is not
        self._ended: list[Ended] = []
        self._is_silent, self._warned = False, ""
        self._asked, self._turn = float("-inf"), 0

    @property
    def jobs(self) -> list[SlurmJob]:
        """What is queued, or goes on."""
        return list(self._jobs)

    @property
    def running(self) -> list[SlurmJob]:
        """What goes on."""
        return [job for job in self.jobs if job.is_running]

    @property
    def has_room(self) -> bool:
        """Whether one more may be submitted."""
        most = self.options.array_parallelism
        return most is None or len(self._jobs) + len(self._leaving) < most

    def submit(self, cells: Sequence[Cell]) -> Iterator[tuple[str, int]]:
        """Submits what is not queued yet, and takes all of it into the pool.

        Yields:
            Of each array that was submitted the job's number, and how many cells it has.
        """
        refused = ""
        try:
            for number, part in submit(cells, self.options, self.cluster):
                yield number, len(part)
        except UserError as error:
            refused = str(error)
        for cell in cells:
            queued = Queued.read(cell.directory)
            if queued and queued.is_ours(self.cluster):
                self._jobs.append(SlurmJob(cell, queued))
            elif queued:
                self._end(cell, "elsewhere", queued.whose)
            elif cell.directory.is_running():
                self._end(cell, "elsewhere", ELSEWHERE)
            elif cell.is_done:  # by an earlier command's job, just now
                self._end(cell, "finished")
            elif cell.directory.job_file.exists():
                self._end(cell, "failed", f"{cell.directory.job_file} cannot be read")
            else:
                self._end(cell, "failed", refused or cell.directory.why())

    def may_start(self, run: RunDirectory) -> bool:
        """Whether nobody has a run, or a job of ours does, which starting it takes up."""
        if queued := Queued.read(run):
            return queued.is_ours(self.cluster)
        return not run.is_running()

    def start(self, cell: Cell) -> SlurmJob:
        """Submits one cell, or takes up the job that is to run it.

        Raises:
            InUseError: A process runs it, or another user or cluster is to.
            UserError: The cluster refuses it.
        """
        queued = Queued.read(cell.directory)
        if queued is None:
            for _ in submit([cell], self.options, self.cluster):
                pass
            queued = Queued.read(cell.directory)
        if queued is None or not queued.is_ours(self.cluster):
            whose = queued.whose if queued else ELSEWHERE
            raise InUseError(f"{cell.directory.path}: {whose}")
        job = SlurmJob(cell, queued)
        self._jobs.append(job)
        return job

    def look(self) -> list[Ended]:
        """What has ended since one last looked; the cluster itself is asked every few seconds."""
        for job in self._in_turn():
            if is_finished(job.cell.directory, job.queued) and self._conclude(job):
                self._leaving.append(job)
        is_late = time.monotonic() - self._asked >= SECONDS_BETWEEN_QUESTIONS
        if is_late and (self._jobs or self._leaving):
            self.ask()
        ended, self._ended = self._ended, []
        return ended

    def ask(self) -> None:
        """Asks the cluster; one that says nothing for a while has lost no job."""
        try:
            tasks = slurm.look(job.queued.key for job in self._jobs + self._leaving)
        except UserError as error:
            if not self._is_silent:
                self.reporter.warn(f"{error}; waiting until it answers")
            self._is_silent = True
            return
        finally:
            self._asked = time.monotonic()
        self._is_silent = False
        there = {key for key, task in tasks.items() if not task.is_over}
        self._leaving = [job for job in self._leaving if job.queued.key in there]
        for job in self.jobs:
            job.task = tasks.get(job.queued.key)
            if job.is_running:
                job.begun = job.begun or time.monotonic()
            elif job.task is None or job.task.is_over:
                self._conclude_if_it_is_seen(job)

    def stop(self) -> str:
        """Leaves all to the cluster, which runs it to its end; gives what is to be said of that."""
        left = len(self._jobs)
        names = ",".join(sorted({job.queued.name for job in self._jobs}))
        self._jobs.clear()
        if not left:
            return "nothing is left in the queue"
        cells = "1 cell stays" if left == 1 else f"{left} cells stay"
        return (
            f"{cells} in the queue, and the same command waits again; `scancel --name={names}` "
            f"would end what was submitted with them"
        )

    def _in_turn(self) -> list[SlurmJob]:
        """Some of the jobs, at the next look other ones: of thousands a look would take seconds.

        Those that are not looked into the cluster itself calls completed, at the next question.
        """
        at = self._turn % len(self._jobs) if self._jobs else 0
        self._turn = at + MOST_IN_A_LOOK
        return (self._jobs[at:] + self._jobs[:at])[:MOST_IN_A_LOOK]

    def _conclude_if_it_is_seen(self, job: SlurmJob) -> None:
        """Concludes what has ended, once its files are here that say how."""
        now = time.monotonic()
        job.over_since = job.over_since or now
        may_be_finished = job.task is None or job.task.state == "COMPLETED"
        late = now - job.over_since > SECONDS_FOR_FILES
        if late or not may_be_finished or job.queued.is_done(job.cell.directory):
            self._conclude(job)

    def _conclude(self, job: SlurmJob) -> bool:
        """Takes a job that has ended out of the pool, if what is written down can be struck out."""
        run = job.cell.directory
        try:
            with locked(run.path.parent):
                reason = conclude(run, job.queued, job.task)
        except UserError as error:  # somebody submits much, or the disk is full: at the next look
            if self._warned != (warned := f"{error}; it is tried again"):
                self.reporter.warn(warned)
            self._warned = warned
            return False
        self._jobs.remove(job)
        if not reason and not job.cell.is_done:
            self._end(job.cell, "elsewhere", UNTESTED)
        elif not reason:
            self._end(job.cell, "finished", seconds=job.seconds)
        elif job.was_ended or (job.task and job.task.was_stopped):
            self._end(job.cell, "stopped", "stopped", job.seconds)
        else:
            self._end(job.cell, "failed", reason, job.seconds)
        return True

    def _end(
        self,
        cell: Cell,
        state: Literal["finished", "stopped", "elsewhere", "failed"],
        reason: str = "",
        seconds: float = 0.0,
    ) -> None:
        self._ended.append(Ended(cell, state, reason, seconds))
