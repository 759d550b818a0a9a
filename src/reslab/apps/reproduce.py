"""`reslab reproduce`: runs a table's missing cells through Hydra's launcher."""

import sys
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
from reslab.config import CONF_DIR, VERSION_BASE, search_path
from reslab.tables.collect import Result, collect
from reslab.tables.estimate import time_left
from reslab.tables.plan import Cell, Table
from reslab.tables.reference import from_reference, keep_records
from reslab.terminal.reporter import Terminal


@dataclass(frozen=True)
class AnnouncedCell:
    """Runs a cell after saying which it is, of how many that are to run, and the time left.

    The time is read from the runs' records, so it is true in any process of any launcher.
    """

    table: Table
    launched: tuple[Cell, ...]
    keep: Path | None

    def __call__(self, cfg: DictConfig) -> None:
        number = HydraConfig.get().job.num
        cell, results = self.launched[number], collect(self.table)
        parts = [f"{cell.row.name}, seed {cell.seed}", time_left(results)]
        text = ", ".join(filter(None, parts))
        print(f"\n[{number + 1}/{len(self.launched)}] {text}", file=sys.stderr, flush=True)
        run_cell(cfg, Terminal())
        if self.keep:
            done = Result(cell, "finished", cell.directory.record())
            keep_records(self.table, [done], self.keep)


def launch(
    table: Table, launcher_overrides: Sequence[str] = (), keep: Path | None = None
) -> list[str]:
    """Runs what is not finished, cheapest first, and goes on when a cell fails.

    Args:
        table: The table.
        launcher_overrides: Overrides of Hydra's own, such as `hydra/launcher=joblib`.
        keep: Where each cell's record is kept as soon as its run ends, and those of runs that ended
            before; what is there already is not run again.

    Returns:
        A line for each cell that failed.
    """
    results = collect(table)
    cells = {
        result.cell.directory.path: result.cell  # rows may come to one run
        for result in results
        if result.record is None or result.cell.rerun
    }
    if keep:
        known = {one.cell.identity for one in from_reference(table, keep) if one.record}
        ended = [one for one in results if one.cell.directory.path not in cells]
        keep_records(table, [one for one in ended if one.cell.identity not in known], keep)
        cells = {path: cell for path, cell in cells.items() if cell.identity not in known}
    missing = tuple(sorted(cells.values(), key=lambda cell: cell.workload.macs))
    if not missing:
        return []
    with initialize_config_dir(config_dir=str(CONF_DIR), version_base=VERSION_BASE):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(
            "train", [*search_path(), *launcher_overrides], run_mode=RunMode.MULTIRUN
        )
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks(config)),
            task_function=AnnouncedCell(table, missing, keep),
            config=config,
        )
        jobs = launcher.launch([list(cell.overrides) for cell in missing], initial_job_idx=0)
    return [
        f"{cell.row.name}, seed {cell.seed}: {job._return_value}"
        for cell, job in zip(missing, jobs, strict=True)
        if job.status != JobStatus.COMPLETED
    ]
