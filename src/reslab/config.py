"""Where configurations lie, what they may build, and what is said when one is wrong."""

import difflib
import importlib.util
import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from reslab.errors import UserError

# In a wheel the configurations are inside the package, in the repository beside it.
CONF_DIR = next(
    path
    for path in (Path(__file__).parent / "conf", Path(__file__).parents[2] / "conf")
    if path.is_dir()
)

VERSION_BASE = "1.3"

# Folders of a user's own configurations, looked through after reslab's.
_own_folders: list[Path] = []
TARGETS = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.Trainer.",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
)
TARGET_MODULES = (
    "reslab.",
    "torch.nn.",
    "torch.optim.",
    "torchvision.datasets.",
    "torchvision.transforms.v2.",
    "lightning.pytorch.",
)


def share(part: float, total: int | None) -> int:
    """That part of a number of epochs or steps, at least one.

    Raises:
        ValueError: The number is not known.
    """
    if total is None or total < 1:
        raise ValueError(
            "the schedule goes by a number that is not given: "
            "trainer.max_epochs if it counts epochs, max_steps if it counts steps"
        )
    return max(1, round(part * total))


OmegaConf.register_new_resolver("share", share, replace=True)


def compose(overrides: Sequence[str]) -> DictConfig:
    """The run's configuration for a list of Hydra overrides.

    Raises:
        UserError: An override names nothing.
    """
    check_choices(overrides)
    try:
        return _compose(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


def add_folder(folder: Path) -> None:
    """Makes the groups and options in a folder of the user's own known beside reslab's.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    for file in sorted(folder.rglob("*.yaml")):
        if (CONF_DIR / file.relative_to(folder)).is_file():
            raise UserError(f"{file} has the name of a file of reslab's own: choose another")
    _own_folders.append(folder.resolve())


def own_folders() -> list[str]:
    """The user's own folders, for a process that is to compose the same."""
    return [str(folder) for folder in _own_folders]


def search_path() -> list[str]:
    """The override that makes Hydra look through the user's folders too."""
    folders = [f'"file://{folder}"' for folder in _own_folders]
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


def _compose(overrides: Sequence[str]) -> DictConfig:
    with hydra.initialize_config_dir(config_dir=str(CONF_DIR), version_base=VERSION_BASE):
        return hydra.compose("train", [*search_path(), *overrides])


def parse_overrides(overrides: Sequence[str]) -> list[tuple[str, str, list[Any]]]:
    """Key, text and values of each override; a sweep has several values.

    Raises:
        UserError: An override is not one.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(explain(error, overrides)) from error
    return [
        (o.key_or_group, str(o.input_line), list(o.sweep_iterator()))
        if o.is_sweep_override()
        else (o.key_or_group, str(o.input_line), [o.value()])
        for o in parsed
    ]


def check_choices(overrides: Sequence[str]) -> None:
    """Refuses an ablation beside a choice by hand of the group that it changes.

    Hydra lets the choice by hand win: the ablation would silently do nothing.

    Raises:
        UserError: Both are there.
    """
    parsed = {key: (text, values) for key, text, values in parse_overrides(overrides)}
    for ablation in parsed.get("ablation", ("", []))[1]:
        path = find_option("ablation", str(ablation))
        if path is None:
            continue
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        for entry in content.get("defaults", []):
            for group in (str(key).removeprefix("override /") for key in entry):
                if group in parsed:
                    raise UserError(
                        f"{parsed[group][0]} and ablation={ablation} both choose the {group}: "
                        f"leave one of them out"
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
        message = _first_line(cause).removeprefix(f"Error in call to target '{path}':")
        raise UserError(f"{field}: {message}") from error
    except OmegaConfBaseException as error:
        raise UserError(explain(error, ())) from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{field}: {_first_line(error)}") from error


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
        raise UserError(f"{path}._target_={target}: {_first_line(cause)}") from error
    module = f"{getattr(found, '__module__', '')}."
    if not isinstance(found, type):
        raise UserError(f"{path}._target_={target} is not a class")
    if not module.startswith(TARGET_MODULES + own):
        raise UserError(refusal)


def trusted_modules() -> list[str]:
    """A user's own modules that configurations may build from."""
    return [name for name in os.environ.get("RESLAB_TARGETS", "").split(",") if name]


def own_sources() -> list[Path]:
    """Files and folders of those modules."""
    found = [importlib.util.find_spec(name) for name in trusted_modules()]
    origins = [Path(spec.origin) for spec in found if spec and spec.origin]
    return [path.parent if path.name == "__init__.py" else path for path in origins]


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """One line for what Hydra says of a configuration, with the nearest valid names."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).partition("/")
        if not name:
            return f"there is no configuration {group}"
        return f"{group}={name}: there is no such file{suggest(name, list_options(group))}"
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {_first_line(error).rpartition('interpolation: ')[2]}"
    text = str(error)
    if isinstance(error, ConfigCompositionException) and text.startswith("Could not override"):
        key = text.split("'")[1]
        return f"there is no option {key}{suggest(key, _known_keys(overrides), listed=False)}"
    lines = [line for line in text.splitlines()[:2] if "https://" not in line]
    if isinstance(error, OverrideParseException) and str(error.override) not in lines[0]:
        lines.insert(0, str(error.override))
    return ": ".join(lines)


def suggest(name: str, options: Iterable[str], *, listed: bool = True) -> str:
    """`; did you mean ...?`, or else, if `listed`, all the options."""
    options = sorted(options)
    if near := difflib.get_close_matches(name, options, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(near)}?"
    return f"; choose from {', '.join(options)}" if listed and options else ""


def list_options(group: str) -> list[str]:
    """Names of the files of a configuration group, those of its folders as `folder/file`."""
    folders = [root / group for root in (CONF_DIR, *_own_folders)]
    return sorted(
        {str(p.relative_to(f).with_suffix("")) for f in folders for p in f.rglob("*.yaml")}
    )


def find_option(group: str, name: str) -> Path | None:
    """The file of an option, reslab's before a user's own."""
    paths = (root / group / f"{name}.yaml" for root in (CONF_DIR, *_own_folders))
    return next((path for path in paths if path.is_file()), None)


def list_groups() -> list[str]:
    """Names of the configuration groups of a run."""
    return sorted(p.name for p in CONF_DIR.iterdir() if p.is_dir() and p.name != "table")


def _known_keys(overrides: Sequence[str]) -> list[str]:
    """Dotted keys and groups that can be overridden beside the groups that are chosen."""
    groups = list_groups()
    chosen = [o for o in overrides if o.partition("=")[0] in groups and "," not in o]
    try:
        plain: Any = OmegaConf.to_container(_compose(chosen))
    except (HydraException, OmegaConfBaseException):
        return groups
    return sorted({*groups, *_dotted_keys(plain)})


def _dotted_keys(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
