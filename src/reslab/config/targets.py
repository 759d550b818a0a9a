"""What configurations may build: an allow-list of targets, and what a user trusts besides."""

import importlib.util
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

TARGETS = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.Trainer.",
    "optuna.samplers.",
    "optuna.pruners.",
)
TARGET_MODULES = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.",
    "optuna.samplers.",
    "optuna.pruners.",
)

# What Hydra builds itself for a command: parts of its own configuration, the keys that name what is
# imported, and what may stand there.
BY_HYDRA = ("callbacks", "hydra_logging", "job_logging")
IMPORTING = ("_target_", "class", "()")
LOGS = r"logging\.(handlers\.)?\w+(Handler|Formatter)|colorlog\.ColoredFormatter|ext://sys\.std(out|err)"


def instantiate(cfg: DictConfig, field: str, **arguments: Any) -> Any:
    """Builds what a field, such as `model`, describes, if every target in it is allowed.

    Raises:
        UserError: A target is not allowed, or the constructor refuses its arguments.
    """
    node = OmegaConf.select(cfg, field)
    try:
        for key, target in _targets(node, field):
            if fault := _fault(target):
                raise UserError(f"{as_typed(key, cfg)}._target_={target}{fault}")
        return hydra.utils.instantiate(node, _convert_="all", **arguments)
    except OmegaConfBaseException as error:
        raise UserError(explain(error, ())) from error
    except (InstantiationException, ValueError, TypeError) as error:
        raise refusal(error, field, cfg) from error


def check_what_hydra_builds(overrides: Sequence[str]) -> None:
    """Refuses what a command would have Hydra import and build, but for what writes its logs.

    Raises:
        UserError: There is something else.
    """
    try:
        own = composed_of_hydra(overrides)
    except (HydraException, OmegaConfBaseException):
        return  # which it says itself before it builds anything
    for key, name in _imported({part: own.get(part) for part in BY_HYDRA}, "hydra"):
        if not re.fullmatch(LOGS, name):
            raise UserError(f"{key}={name} is not allowed: nothing but logs is built for Hydra")


def _imported(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Key and name of each object that plain values would have imported."""
    if isinstance(node, dict):
        for name, value in node.items():
            below = f"{key}.{name}"
            if name in IMPORTING:
                yield below, str(value)
            yield from _imported(value, below)
    elif isinstance(node, list):
        for value in node:
            yield from _imported(value, key)
    elif isinstance(node, str) and node.startswith("ext://"):
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


def _fault(target: str) -> str | None:
    """Both the path and the module of what it leads to: `reslab.x.os.system` is os' function."""
    own = tuple(f"{name}." for name in trusted_modules())
    refused = " is not allowed; set RESLAB_TARGETS to trust a package"
    if not f"{target}.".startswith(TARGETS + own):
        return refused
    try:
        found = hydra.utils.get_object(target)
    except (ImportError, AttributeError, ValueError) as error:
        return f": {first_line(error.__cause__ or error)}"
    module = f"{getattr(found, '__module__', '')}."
    if not isinstance(found, type):
        return " is not a class"
    return None if module.startswith(TARGET_MODULES + own) else refused


def is_own_target(target: str) -> bool:
    """Whether it is none of reslab's and of the libraries that it builds upon."""
    return not f"{target}.".startswith(TARGETS)


def trusted_modules() -> list[str]:
    """A user's own modules that configurations may build from."""
    return [name for name in os.environ.get("RESLAB_TARGETS", "").split(",") if name]


def own_sources() -> list[Path]:
    """Files and folders of those modules."""
    found = [importlib.util.find_spec(name) for name in trusted_modules()]
    origins = [Path(spec.origin) for spec in found if spec and spec.origin]
    return [path.parent if path.name == "__init__.py" else path for path in origins]
