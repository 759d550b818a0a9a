"""One run of what Hydra has composed."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from reslab.apps.devices import as_given, is_one_of_several, num_processes, run_on
from reslab.config import CONF_DIR, check_choices
from reslab.errors import UserError
from reslab.jobs.slots import find_gpus
from reslab.jobs.slurm_queue import leave_to_its_job
from reslab.reporter import Reporter
from reslab.runs.outcome import Outcome
from reslab.runs.resolvers import register_resolvers

register_resolvers()


SHARED = (
    "trainer=ddp: the runs of this sweep share one process, and a run on several devices is "
    "processes of its own"
)


def run_cell(cfg: DictConfig, reporter: Reporter) -> Outcome | None:
    """Runs one configuration in the directory that Hydra made for it.

    On several devices of this machine, other processes do, and this one ends when they have. Of
    processes that torchrun has started, all but the first return None; see `execute`.
    """
    from reslab.runs.check import check
    from reslab.runs.devices import check_divides
    from reslab.runs.execute import execute
    from reslab.runs.request import Request
    from reslab.runs.store import RunDirectory

    context = HydraConfig.get()
    overrides = list(context.overrides.task)
    check_choices(overrides)
    if context.job.chdir:
        raise UserError(
            "hydra.job.chdir is not supported: paths count from where a command is given"
        )
    directory = RunDirectory(Path(context.runtime.output_dir))
    number = num_processes(cfg)
    if directory.record_file.exists() and not cfg.rerun:
        number = 1  # which is enough to say so
    if context.mode == RunMode.MULTIRUN and (number > 1 or is_one_of_several()):
        raise UserError(f"{SHARED}: {_how_each_has_its_own(cfg)}")
    if not directory.record_file.exists() or cfg.rerun:
        leave_to_its_job(directory)
    sources = [source.path for source in context.runtime.config_sources if source.schema == "file"]
    config_dirs = [path for path in sources if Path(path) != CONF_DIR]
    if number > 1:
        check(cfg)
        check_divides(cfg, number)
        run_on(number, directory, overrides, config_dirs, reporter)
    request = Request.here(overrides, context.runtime.choices.get("recipe"), config_dirs)
    return execute(cfg, directory, as_given(request), reporter)


def _how_each_has_its_own(cfg: DictConfig) -> str:
    """How the runs of a sweep come to processes of their own, on as many devices as each asks."""
    gpus = [] if cfg.trainer.accelerator == "cpu" else find_gpus()
    if not gpus:
        return "add hydra/launcher=local, which gives each run a command of its own"
    number = len(gpus) if cfg.trainer.devices == "auto" else cfg.trainer.devices
    return (
        f"on a cluster add hydra/launcher=slurm hydra.launcher.gpus_per_node={number}; here give "
        f"one command after another, for hydra/launcher=local has one GPU for each run"
    )
