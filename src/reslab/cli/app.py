"""What Hydra runs for `reslab train`: one run, or with `-m` each of a sweep."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from reslab.apps import devices
from reslab.apps.train import run_cell
from reslab.cli.faults import in_a_line
from reslab.config import CONF_DIR, VERSION_BASE
from reslab.errors import UserError
from reslab.reporter import SILENT
from reslab.runs.extension import nearest
from reslab.runs.record import WAY_OUT, Record
from reslab.runs.store import InUseError, RunDirectory
from reslab.runs.trained import values_of
from reslab.terminal.reporter import Terminal
from reslab.terminal.runs import print_outcome

FAILED = "runs of the sweep have failed, and are named above"
STOPPED = "runs of the sweep were stopped, and are named above; the same command goes on"
ELSEWHERE = (
    "runs of the sweep go on elsewhere, and are named above; `reslab watch` shows those that train"
)


@hydra.main(version_base=VERSION_BASE, config_path=str(CONF_DIR), config_name="train")
def train(cfg: DictConfig) -> float | None:
    """Runs a configuration; in a sweep, a failure is named and the other runs go on."""
    context = HydraConfig.get()
    directory = RunDirectory(Path(context.runtime.output_dir))
    reporter = Terminal() if devices.speaks_for_all() else SILENT
    if not devices.is_started_here() and (line := nearest(cfg, directory)):
        reporter.say(line)
    try:
        with devices.left_to_end(Terminal()):
            outcome = run_cell(cfg, reporter)
        if not devices.speaks_for_all():
            return None
        value = objective(directory, outcome.record if outcome else None, cfg.monitor)
    except Exception as error:
        line = in_a_line(error)
        if line is not None and devices.is_started_here():
            devices.leave_reason(line)
        if line is None or context.mode != RunMode.MULTIRUN:
            raise
        elsewhere = isinstance(error, InUseError)
        how = "left to others" if elsewhere else "failed"
        Terminal().say(f"reslab: {how}: {' '.join(context.overrides.task)}: {line}")
        raise UserError(ELSEWHERE if elsewhere else FAILED) from error
    print_outcome(outcome, directory.path)
    return value


def objective(directory: RunDirectory, record: Record | None, monitor: str) -> float:
    """What a sweeper may optimize: the metric that chose the best epoch, in that epoch.

    The test set has nothing to do with it.

    Raises:
        UserError: The run's curve is damaged or missing.
    """
    from reslab.runs.best import best_of  # with torch, which a run has by then

    values = values_of(directory, monitor)
    epoch = record.best_epoch if record else best_of(values, monitor)
    if not 1 <= epoch <= len(values):
        raise UserError(f"{directory.metrics_file} lacks the best epoch; {WAY_OUT}")
    return values[epoch - 1]
