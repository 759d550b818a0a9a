"""reslab's launchers, where Hydra looks for such: the cells of a sweep as processes of their own.

Hydra reads this file whenever it starts, so what a launch needs is imported in it.
"""

import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from reslab.jobs.account import Ended, Swept
    from reslab.jobs.cell import Cell
    from reslab.reporter import Reporter

# Overrides of Hydra's own that are about the sweep and not about each of its cells.
OF_THE_SWEEP = (
    *("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweep"),
    *("hydra.mode", "hydra.run"),
)


@dataclass
class Local:
    """The options of `hydra/launcher=local`.

    Attributes:
        slots: How many cells at a time; null: one on each GPU, or without GPUs one.
        runs_per_gpu: How many may be on one GPU at a time.
    """

    _target_: str = "hydra_plugins.reslab_launchers.LocalLauncher"
    slots: int | None = None
    runs_per_gpu: int = 1


ConfigStore.instance().store(group="hydra/launcher", name="local", node=Local, provider="reslab")


@dataclass(frozen=True)
class Job:
    """A cell as Hydra has it.

    Attributes:
        number: Its place in the sweep, from 0.
        overrides: What is asked of Hydra.
        config: What that is composed.
        path: Its directory, as Hydra's own launcher would have it.
    """

    number: int
    overrides: tuple[str, ...]
    config: DictConfig
    path: Path

    @property
    def is_finished(self) -> bool:
        """Whether it has a record, and is not to be started over."""
        from reslab.runs.store import RunDirectory

        return RunDirectory(self.path).record_file.exists() and not self.config.rerun

    def returned(self, value: object) -> JobReturn:
        """What a sweeper is told of it: what it may optimize, or the error."""
        failed = isinstance(value, BaseException)
        status = JobStatus.FAILED if failed else JobStatus.COMPLETED
        return JobReturn(self.overrides, self.config, status=status, _return_value=value)


class CellLauncher(Launcher):
    """Cells as processes of their own, wherever they run."""

    @property
    def answers(self) -> TextIO:
        """Where it is said what finished cells came to."""
        return sys.stdout

    @abstractmethod
    def sweep(
        self,
        cells: Sequence["Cell"],
        jobs: Sequence[Job],
        reporter: "Reporter",
        on_finished: Callable[["Cell"], None],
    ) -> "Swept":
        """Runs cells, which are some of the jobs."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra gives a launcher."""
        from reslab.jobs.task import CellTask

        self.context, self.function, self.config = hydra_context, task_function, config
        self.task = task_function if isinstance(task_function, CellTask) else None

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the cells; what is finished is answered here, for which no process is needed."""
        from reslab.terminal.reporter import Terminal

        setup_globals()
        jobs = [
            self._job(initial_job_idx + at, tuple(overrides))
            for at, overrides in enumerate(job_overrides)
        ]
        with redirect_stdout(self.answers):
            returned = {job.path: self._run_here(job) for job in jobs if job.is_finished}
        waiting: dict[Path, Job] = {}
        for job in jobs:  # two may come to one run
            if job.path not in returned:
                waiting.setdefault(job.path, job)
        cells = [self._cell(job, jobs) for job in waiting.values()]

        def on_finished(cell: "Cell") -> None:
            if self.task:
                self.task.on_finished(waiting[cell.directory.path].number)

        reporter = self.task.reporter if self.task else Terminal()
        swept = self.sweep(cells, jobs, reporter, on_finished)
        if not self.task:
            _print_results(swept.ends)
        if swept.signum is not None:
            raise SystemExit(128 + swept.signum)
        error = None if self.task else _error_of_all(swept.ends)
        for end in swept.ends:
            job = waiting[end.cell.directory.path]
            returned[job.path] = job.returned(_value(job, end, error))
        return [returned[job.path] for job in jobs]

    def _job(self, number: int, overrides: tuple[str, ...]) -> Job:
        """A cell in the directory that Hydra's own launcher would run it in."""
        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        before = HydraConfig.instance().cfg
        try:
            HydraConfig.instance().set_config(config)  # for what is interpolated from there
            path = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
        finally:
            HydraConfig.instance().cfg = before
        return Job(number, overrides, config, path)

    def _run_here(self, job: Job) -> JobReturn:
        """Answers, and tidies up behind a process that was killed once its run was finished."""
        from reslab.jobs.cell import output_of
        from reslab.runs.store import RunDirectory

        output_of(RunDirectory(job.path)).unlink(missing_ok=True)
        return run_job(
            hydra_context=self.context,
            task_function=self.function,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )

    def _cell(self, job: Job, jobs: Sequence[Job]) -> "Cell":
        from reslab.config import own_folders, search_path
        from reslab.jobs.cell import Cell
        from reslab.runs.store import RunDirectory

        asked = list(self.config.hydra.overrides.hydra)
        options = [one for one in asked if not one.lstrip("+~").startswith(OF_THE_SWEEP)]
        differing = [one for one in job.overrides if not all(one in j.overrides for j in jobs)]
        title = " ".join(differing) or job.path.name
        return Cell(
            overrides=job.overrides,
            directory=RunDirectory(job.path),
            title=self.task.title(job.number) if self.task else title,
            config_dirs=tuple(own_folders()),
            options=tuple(one for one in options if one not in search_path()),
            work=self.task.work(job.number) if self.task else 1.0,
            tested=job.config.test,
        )


class LocalLauncher(CellLauncher):
    """Cells on this machine, one at a time on each GPU or part of the cores."""

    def __init__(self, slots: int | None, runs_per_gpu: int) -> None:
        self.slots, self.runs_per_gpu = slots, runs_per_gpu

    def sweep(
        self,
        cells: Sequence["Cell"],
        jobs: Sequence[Job],
        reporter: "Reporter",
        on_finished: Callable[["Cell"], None],
    ) -> "Swept":
        """Runs them on slots."""
        from reslab.jobs.slots import find_slots
        from reslab.jobs.sweep import Sweep

        on_gpus = any(job.config.trainer.get("accelerator") != "cpu" for job in jobs)
        slots = find_slots(self.slots, self.runs_per_gpu, on_gpus=on_gpus)
        return Sweep(cells, slots, reporter, on_finished).run()


def _value(job: Job, end: "Ended", error: Exception | None) -> object:
    """What a cell returns: what a sweeper may optimize, or an error, that of the sweep if any."""
    from reslab.cli.app import objective
    from reslab.errors import UserError
    from reslab.jobs.task import StoppedError

    if end.state == "queued":
        return None
    if end.state != "finished":
        return error or (StoppedError if end.state == "stopped" else UserError)(end.reason)
    record = end.cell.directory.record()
    return record and objective(end.cell.directory, record, job.config.monitor)


def _error_of_all(ends: Sequence["Ended"]) -> Exception:
    """What a sweep ends with that has named each cell as it ended."""
    from reslab.cli.app import ELSEWHERE, FAILED, STOPPED
    from reslab.errors import UserError

    lines = {"failed": FAILED, "stopped": STOPPED, "elsewhere": ELSEWHERE}
    states = {end.state for end in ends}
    return UserError(next((line for state, line in lines.items() if state in states), ""))


def _print_results(ends: Sequence["Ended"]) -> None:
    from reslab.runs.outcome import Outcome
    from reslab.terminal.runs import print_outcome

    for end in ends:
        if end.state == "finished" and (record := end.cell.directory.record()):
            print_outcome(Outcome(record, trained=True), end.cell.directory.path)
