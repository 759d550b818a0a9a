"""`reslab train`: one run, or with `-m` a sweep of them."""

import csv
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from reslab.config import CONF_DIR, VERSION_BASE, check_choices
from reslab.errors import UserError
from reslab.runs.identity import register_resolvers

register_resolvers()


def run_cell(cfg: DictConfig) -> float:
    """Runs one configuration in the directory that Hydra made for it.

    Returns:
        What a sweeper may optimize: the metric that chose the best epoch, in that epoch, with which
        the test set has nothing to do.
    """
    from reslab.runs.execute import execute
    from reslab.runs.store import RunDirectory

    context = HydraConfig.get()
    overrides = list(context.overrides.task)
    check_choices(overrides)
    directory = RunDirectory(Path(context.runtime.output_dir))
    record = execute(cfg, directory, overrides, context.runtime.choices.get("recipe"))
    with directory.metrics_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return float(rows[record["best_epoch"] - 1][cfg.monitor])


@hydra.main(version_base=VERSION_BASE, config_path=str(CONF_DIR), config_name="train")
def train(cfg: DictConfig) -> float:
    """Runs a configuration; in a sweep, a failure is named and the other runs go on."""
    try:
        return run_cell(cfg)
    except UserError as error:
        context = HydraConfig.get()
        if context.mode == RunMode.MULTIRUN:
            overrides = " ".join(context.overrides.task)
            print(f"reslab: failed: {overrides}: {error}", file=sys.stderr)
        elif os.environ.get("RESLAB_DEBUG") != "1":
            sys.exit(f"reslab: {error}")  # Hydra adds a line of its own to exceptions
        raise
