"""Reproducing a table: what it lacks is run through a launcher of Hydra's, then it is rendered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from reslab.apps.train import run_cell
from reslab.config import CONF_DIR, VERSION_BASE, check_what_hydra_builds, search_path
from reslab.jobs.slurm_queue import settle
from reslab.jobs.task import CellTask, StoppedError
from reslab.reporter import SILENT, Reporter
from reslab.runs.check import check
from reslab.tables.collect import Result, collect, look_up
from reslab.tables.estimate import Outlook, time_left
from reslab.tables.make import OUTPUT
from reslab.tables.plan import Cell, Table, load_table
from reslab.tables.reference import from_reference, keep_records, known
from reslab.tables.render import render
from reslab.tables.rendered import Rendered


@dataclass(frozen=True)
class Reproduction:
    """What came of reproducing a table.

    Attributes:
        launched: The cells that were run, cheapest first.
        failures: A line for each of them that failed.
        queued: How many cells a cluster is to run, or runs.
        rendered: The table as it now is, and where it was written.
    """

    launched: tuple[Cell, ...]
    failures: tuple[str, ...]
    queued: int
    rendered: Rendered

    @property
    def is_in_the_queue(self) -> bool:
        """Whether all that the table lacks is queued."""
        return 0 < self.queued == self.rendered.missing


def reproduce(
    name: str,
    overrides: Sequence[str] = (),
    *,
    quick: bool = False,
    keep: Path | None = None,
    output: Path = OUTPUT,
    reporter: Reporter = SILENT,
) -> Reproduction:
    """Runs what a published table lacks, going on when a cell fails, and renders it.

    Args:
        name: The table's name.
        overrides: Hydra's, for every cell; `seed=0,1` chooses the seeds, `hydra/launcher=local`
            has cells run side by side, in processes, `hydra/launcher=slurm` on a cluster.
        quick: Whether at the small scale that the table's file names.
        keep: Where each cell's record is kept as soon as its run ends, and those of runs that ended
            before; what is there already is not run again, and the table is that of these records.
        output: The folder with tables.
        reporter: Is told which cell is run.

    Raises:
        UserError: There is no such table, an override is wrong, or a record cannot be kept.
    """
    own, asked = _parted(overrides)
    check_what_hydra_builds([*search_path(), *own])
    table = load_table(name, asked, quick=quick)
    runs = [cell.directory for cell in table.cells]
    settle(runs)
    launched = _lacking(table, keep, reporter)
    for cfg in {cell.row.recipe: cell.workload.cfg for cell in launched}.values():
        check(cfg)  # of all that are to run, before the first is
    failures = _launch(table, launched, own, keep, reporter) if launched else ()
    settle(runs)  # what others have waited for
    results = from_reference(table, keep) if keep else collect(table)
    queued = sum(not one.record and one.cell.directory.job_file.exists() for one in results)
    return Reproduction(launched, failures, queued, render(table, results, output, reporter))


def plan(name: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Outlook:
    """What `reproduce` would find: which cells are done, and how long the rest will take.

    Raises:
        UserError: There is no such table, or an override is wrong.
    """
    table = load_table(name, _parted(overrides)[1], quick=quick)
    settle(cell.directory for cell in table.cells)
    return Outlook(table, collect(table))


def _parted(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides of Hydra's own, such as its launcher, and those of the runs."""
    own = [override for override in overrides if override.lstrip("+").startswith("hydra")]
    return own, [override for override in overrides if override not in own]


@dataclass(frozen=True)
class AnnouncedCell(CellTask):
    """Runs a cell after saying which it is, of how many that are to run, and the time left.

    Launchers that run cells in other processes say that themselves.
    """

    table: Table
    launched: tuple[Cell, ...]
    keep: Path | None
    reporter: Reporter

    def __call__(self, cfg: DictConfig) -> None:
        number = HydraConfig.get().job.num
        text = ", ".join(filter(None, [self.title(number), time_left(collect(self.table))]))
        self.reporter.say(f"\n[{number + 1}/{len(self.launched)}] {text}")
        outcome = run_cell(cfg, self.reporter)  # never None: see `load_table`
        self.reporter.say(f"{outcome}\n{self.launched[number].directory.path}")
        self.on_finished(number)

    def title(self, number: int) -> str:
        return f"{self.launched[number].row.name}, seed {self.launched[number].seed}"

    def work(self, number: int) -> float:
        return self.launched[number].workload.macs

    def on_finished(self, number: int) -> None:
        if self.keep:
            keep_records(self.table, [look_up(self.launched[number])], self.keep)


def _is_to_run(result: Result) -> bool:
    """Whether a cell is missing, or to be started over.

    A damaged run is what its owner may want to look at: only a rerun puts another there.
    """
    rerun = result.cell.rerun
    if result.record:
        return rerun is True or result.record.rerun < rerun
    return result.state != "damaged" or bool(rerun)


def _lacking(table: Table, keep: Path | None, reporter: Reporter) -> tuple[Cell, ...]:
    """What is to be run, cheapest first; records of runs that ended are kept on the way."""
    results = collect(table)
    cells = {
        result.cell.directory.path: result.cell  # rows may come to one run
        for result in results
        if _is_to_run(result)
    }
    for result in results:
        if result.state == "damaged" and not result.cell.rerun:
            name = f"{result.cell.row.name}, seed {result.cell.seed}"
            reporter.warn(f"{name} is not run again, for its run is damaged: {result.reason}")
    if keep:
        there = known(table, keep)
        ended = [one for one in results if one.cell.directory.path not in cells]
        keep_records(table, [one for one in ended if one.cell.identity not in there], keep)
        cells = {path: cell for path, cell in cells.items() if cell.identity not in there}
    return tuple(sorted(cells.values(), key=lambda cell: cell.workload.macs))


def _launch(
    table: Table,
    cells: tuple[Cell, ...],
    own_overrides: Sequence[str],
    keep: Path | None,
    reporter: Reporter,
) -> tuple[str, ...]:
    """Runs cells by Hydra's launcher; gives a line for each that failed."""
    task = AnnouncedCell(table, cells, keep, reporter)
    with initialize_config_dir(config_dir=str(CONF_DIR), version_base=VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(
            "train", [*search_path(), *own_overrides], run_mode=RunMode.MULTIRUN
        )
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks(config)),
            task_function=task,
            config=config,
        )
        jobs = launcher.launch([list(cell.overrides) for cell in cells], initial_job_idx=0)
    return tuple(
        f"{task.title(number)}: {job._return_value}"
        for number, job in enumerate(jobs)
        if job.status != JobStatus.COMPLETED and not isinstance(job._return_value, StoppedError)
    )
