"""What configurations may build: an allow-list of targets, and what a user trusts besides."""

import importlib.util
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.config.messages import explain, first_line
from reslab.config.places import composed_of_hydra
from reslab.config.refusals import as_typed, refusal
from reslab.errors import UserError

# What each field may be built of: names, and the modules that these lead to.
TARGETS = {
    "model": ("reslab.nn.", "torch.nn."),
    "dataset": ("reslab.data.", "torchvision.datasets.", "torchvision.transforms.v2."),
    "augment": ("reslab.data.", "torchvision.transforms.v2."),
    "optimizer": ("reslab.optim.", "torch.optim."),
    "logger": ("reslab.callbacks.",),
    "trainer": ("lightning.pytorch.Trainer.",),
    "search": ("optuna.samplers.", "optuna.pruners."),
}
MODULES = TARGETS | {"trainer": ("lightning.pytorch.",)}

# What Hydra itself would build or set for a command, before anything of reslab's is asked.
NO_LOG = {"version": 1, "root": None, "disable_existing_loggers": False}
BY_HYDRA = {"callbacks": {}, "hydra_logging": NO_LOG, "job_logging": NO_LOG}
PLUGINS = ("launcher", "sweeper")


def instantiate(cfg: DictConfig, field: str, **arguments: Any) -> Any:
    """Builds what a field, such as `model`, describes, if every target in it is allowed.

    Raises:
        UserError: A target is not allowed, or the constructor refuses its arguments.
    """
    node = OmegaConf.select(cfg, field)
    try:
        for key, target in _targets(node, field):
            if fault := _fault(target, field.partition(".")[0]):
                raise UserError(f"{as_typed(key, cfg)}._target_={target}{fault}")
        return hydra.utils.instantiate(node, _convert_="all", **arguments)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, ())) from error
    except (InstantiationException, ValueError, TypeError) as error:
        raise refusal(error, field, cfg) from error


def check_what_hydra_builds(overrides: Sequence[str]) -> None:
    """Refuses what a command would have Hydra import and build, or set, besides its plugins.

    Raises:
        UserError: There is something else.
    """
    try:
        own = composed_of_hydra(overrides)
    except (HydraException, OmegaConfBaseException):
        return  # which it says itself before it builds anything
    for key, usual in BY_HYDRA.items():
        if own.get(key) != usual:
            raise UserError(f"hydra.{key} is not allowed: reslab has none of Hydra's")
    if own["job"].get("env_set"):
        raise UserError("hydra.job.env_set is not allowed: put variables before the command")
    for name in PLUGINS:
        for key, value in _leaves(own.get(name), f"hydra.{name}"):
            # A text that is one reference may stand for anything.
            if re.fullmatch(r"\$\{.*\}", value, re.DOTALL):
                raise UserError(f"{key}={value} is not allowed: write the value itself")
            # The plugin itself Hydra looks up among those that it has.
            is_below = key.endswith("._target_") and key != f"hydra.{name}._target_"
            if is_below and (fault := _fault(value, "search")):
                raise UserError(f"{key}={value}{fault}")


def _leaves(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key and text of each value among plain ones that is a text."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}")
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, key)
    elif isinstance(node, str):
        yield key, node


def _targets(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key of each mapping with a target, and that."""
    if isinstance(node, DictConfig):
        for name in node:
            if name == "_target_":
                yield key, str(node[name])
            else:
                yield from _targets(node[name], f"{key}.{name!s}")
    elif isinstance(node, ListConfig):
        for index, value in enumerate(node):
            yield from _targets(value, f"{key}[{index}]")


def _fault(target: str, field: str) -> str | None:
    """Both the path and the module of what it leads to: `reslab.nn.os.system` is os' function."""
    own = tuple(f"{name}." for name in trusted_modules())
    refused = " is not allowed; set RESLAB_TARGETS to trust a package"
    if not f"{target}.".startswith(TARGETS[field] + own):
        return refused
    try:
        found = _found(target)
    except (ImportError, AttributeError, ValueError) as error:
        return f": {first_line(error.__cause__ or error)}"
    module = f"{getattr(found, '__module__', '')}."
    if not isinstance(found, type):
        return " is not a class"
    return None if module.startswith(MODULES[field] + own) else refused


def _found(target: str) -> Any:
    """What a path leads to, of which Hydra would say in its log that there is no such thing."""
    log = logging.getLogger("hydra.utils")
    before, log.disabled = log.disabled, True
    try:
        return hydra.utils.get_object(target)
    finally:
        log.disabled = before


def is_own_target(target: str) -> bool:
    """Whether it is none of reslab's and of the libraries that it builds upon."""
    return not f"{target}.".startswith(tuple(one for names in TARGETS.values() for one in names))


def trusted_modules() -> list[str]:
    """A user's own modules that configurations may build from."""
    return [name for name in os.environ.get("RESLAB_TARGETS", "").split(",") if name]


def own_sources() -> list[Path]:
    """Files and folders of those modules."""
    found = [importlib.util.find_spec(name) for name in trusted_modules()]
    origins = [Path(spec.origin) for spec in found if spec and spec.origin]
    return [path.parent if path.name == "__init__.py" else path for path in origins]
