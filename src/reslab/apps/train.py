"""`reslab train`: one run, or with `-m` a sweep of them."""

import csv
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from reslab.config import CONF_DIR, VERSION_BASE, check_choices
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs.identity import register_resolvers
from reslab.terminal.reporter import Terminal

if TYPE_CHECKING:
    from reslab.runs.execute import Outcome

register_resolvers()


def run_cell(cfg: DictConfig, reporter: Reporter) -> "Outcome":
    """Runs one configuration in the directory that Hydra made for it."""
    from reslab.runs.execute import execute
    from reslab.runs.started import Started
    from reslab.runs.store import RunDirectory

    context = HydraConfig.get()
    overrides = list(context.overrides.task)
    check_choices(overrides)
    directory = RunDirectory(Path(context.runtime.output_dir))
    started = Started.here(overrides, context.runtime.choices.get("recipe"))
    return execute(cfg, directory, started, reporter)


@hydra.main(version_base=VERSION_BASE, config_path=str(CONF_DIR), config_name="train")
def train(cfg: DictConfig) -> float:
    """Runs a configuration; in a sweep, a failure is named and the other runs go on.

    Returns:
        What a sweeper may optimize: the metric that chose the best epoch, in that epoch, with which
        the test set has nothing to do.
    """
    from reslab.runs.store import RunDirectory
    from reslab.terminal.runs import print_outcome

    context = HydraConfig.get()
    try:
        outcome = run_cell(cfg, Terminal())
    except UserError as error:
        if context.mode == RunMode.MULTIRUN:
            Terminal().say(f"reslab: failed: {' '.join(context.overrides.task)}: {error}")
        elif os.environ.get("RESLAB_DEBUG") != "1":
            sys.exit(f"reslab: {error}")  # Hydra adds a line of its own to exceptions
        raise
    directory = RunDirectory(Path(context.runtime.output_dir))
    print_outcome(outcome, directory.path)
    with directory.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return float(rows[outcome.record.best_epoch - 1][cfg.monitor])
