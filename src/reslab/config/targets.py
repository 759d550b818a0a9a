"""What configurations may build: an allow-list of targets, and what a user trusts besides."""

import importlib.util
import inspect
import os
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import OmegaConfBaseException

from reslab.config.messages import explain, first_line, suggest
from reslab.errors import UserError

TARGETS = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.Trainer.",
)
TARGET_MODULES = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.",
)


def instantiate(cfg: DictConfig, field: str, **arguments: Any) -> Any:
    """Builds what `cfg[field]` describes, if every target in it is allowed.

    Raises:
        UserError: A target is not allowed, or the constructor refuses its arguments.
    """
    node = cfg[field]
    try:
        _check_targets(node, field)
        return hydra.utils.instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        cause = error.__cause__ or error
        path = getattr(error, "full_key", None) or field
        if isinstance(cause, TypeError) and "unexpected keyword argument" in str(cause):
            unknown = str(cause).rpartition(" argument ")[2].split("'")[1]
            options = inspect.signature(hydra.utils.get_object(node._target_)).parameters
            hint = suggest(unknown, options)
            raise UserError(f"{field} has no option {unknown}{hint}") from error
        message = first_line(cause).removeprefix(f"Error in call to target '{path}':")
        raise UserError(f"{field}: {message}") from error
    except OmegaConfBaseException as error:
        raise UserError(explain(error, ())) from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {first_line(error)}") from error


def _check_targets(node: Any, path: str) -> None:
    if isinstance(node, DictConfig):
        for key in node:
            value = node[key]
            if key == "_target_":
                _check_target(str(value), path)
            elif isinstance(value, DictConfig | ListConfig):
                _check_targets(value, f"{path}.{key!s}")
    elif isinstance(node, ListConfig):
        for index, value in enumerate(node):
            _check_targets(value, f"{path}[{index}]")


def _check_target(target: str, path: str) -> None:
    """Both the path and the module of what it leads to: `reslab.x.os.system` is os' function."""
    own = tuple(f"{name}." for name in trusted_modules())
    refusal = f"{path}._target_={target} is not allowed; set RESLAB_TARGETS to trust a package"
    if not f"{target}.".startswith(TARGETS + own):
        raise UserError(refusal)
    try:
        found = hydra.utils.get_object(target)
    except (ImportError, AttributeError, ValueError) as error:
        cause = error.__cause__ or error
        raise UserError(f"{path}._target_={target}: {first_line(cause)}") from error
    module = f"{getattr(found, '__module__', '')}."
    if not isinstance(found, type):
        raise UserError(f"{path}._target_={target} is not a class")
    if not module.startswith(TARGET_MODULES + own):
        raise UserError(refusal)


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
