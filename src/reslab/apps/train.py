"""One run of what Hydra has composed."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from reslab.config import CONF_DIR, check_choices
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs.outcome import Outcome
from reslab.runs.resolvers import register_resolvers

register_resolvers()


def run_cell(cfg: DictConfig, reporter: Reporter) -> Outcome | None:
    """Runs one configuration in the directory that Hydra made for it; see `execute`."""
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
    sources = [source.path for source in context.runtime.config_sources if source.schema == "file"]
    request = Request.here(
        overrides,
        context.runtime.choices.get("recipe"),
        [path for path in sources if Path(path) != CONF_DIR],
    )
    return execute(cfg, directory, request, reporter)
