"""What is said when a configuration is wrong: one line, with the nearest valid names."""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from reslab.config.places import composed, composed_of_hydra, list_groups, list_options
from reslab.errors import UserError, behind

A_SWEEP = "several values are a sweep, for which `reslab train` needs -m"
LAUNCHERS = ("hydra/launcher=local", "hydra/launcher=slurm")

# What OmegaConf calls that of which there is one kind.
KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}
NOT_READ = "that is no value: a list is written [1,2], text with other characters '…' in quotes"


def explain(error: Exception, overrides: Sequence[str]) -> str:
    """One line for what Hydra says of a configuration, with the nearest valid names."""
    if ours := behind(error, UserError):  # of what an interpolation asks of the machine
        return str(ours)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        path = str(error.missing_cfg_file)
        is_nested = path.startswith(("hydra/", "search/"))
        group, _, name = path.rpartition("/") if is_nested else path.partition("/")
        if not (group and name):
            return f"there is no configuration {path}"
        options = error.options or () if path.startswith("hydra/") else list_options(group)
        return f"{group}={name}: there is no such file{suggest(name, options)}"
    if isinstance(error, InterpolationResolutionError):
        return f"{error.full_key}: {first_line(error).rpartition('interpolation: ')[2]}"
    text = str(error)
    if found := re.search(r"Ambiguous value for argument '((.*?)=(.*))'", text):
        return f"{found[1]}: {A_SWEEP}; a list is written {found[2]}=[{found[3]}]"
    if found := re.search(r"Sweep parameters '(.*?)' requires --multirun", text):
        return f"{found[1]}: {A_SWEEP}"
    if "ConfigLoader is not set" in text:  # which `glob` would need
        return f"{next(o for o in overrides if 'glob(' in o)}: {A_SWEEP}"
    if found := re.search(r"An item is already at '(.*?)'", text):
        return f"{found[1]} is there already: write it without the +"
    if found := re.search(r"Could not delete from config. '(.*?)' does not exist", text):
        return f"~{found[1]}: there is no {found[1]} to leave out"
    if found := re.match(r"Error merging override (.*)", text):
        return f"{found[1]}: {_wanted(first_line(error.__cause__ or error))}"
    if isinstance(error, ConfigCompositionException) and text.startswith("Could not override"):
        key = text.split("'")[1]
        if key.startswith("hydra."):
            return _say_of_hydra(key, overrides)
        if key.startswith("search."):
            plain: Any = OmegaConf.to_container(composed([], "search").search, resolve=False)
            keys = dotted_keys(plain, "search.")
            return f"there is no option {key}{suggest(key, keys, listed=False)}"
        return f"there is no option {key}{suggest(key, known_keys(overrides), listed=False)}"
    if isinstance(error, OverrideParseException) and "=" in str(error.override):
        return f"{error.override}: {NOT_READ}"
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


def _say_of_hydra(key: str, overrides: Sequence[str]) -> str:
    """The nearest of Hydra's own keys, the launcher that has this one, or how to add to it."""
    chosen = [word for word in overrides if word.lstrip("+").startswith("hydra/")]
    keys = list(dotted_keys(composed_of_hydra(chosen), "hydra."))
    if key in keys:
        adding = next((word for word in overrides if word.startswith(key)), key)
        return f"{adding}: what it does not have yet is added: write +{adding}"
    for launcher in LAUNCHERS:
        if key in dotted_keys(composed_of_hydra([launcher]), "hydra."):
            return f"there is no option {key} without {launcher}"
    others = (one for one in keys if not one.endswith("._target_"))
    return f"there is no option {key}{suggest(key, others, listed=False)}"


def _wanted(line: str) -> str:
    """What should have been given where OmegaConf says what it could not convert."""
    found = re.search(r"(?:could not be converted to|is not a valid) (\w+)", line)
    return f"it must be {KINDS[found[1]]}" if found and found[1] in KINDS else line


def first_line(error: BaseException) -> str:
    """What an error says, as far as one line goes."""
    return str(error).strip().partition("\n")[0]


def known_keys(overrides: Sequence[str] = ()) -> list[str]:
    """Dotted keys and groups that can be overridden beside the groups that are chosen."""
    groups = list_groups()
    chosen = [o for o in overrides if o.partition("=")[0] in groups and "," not in o]
    try:
        plain: Any = OmegaConf.to_container(composed(chosen))
    except (HydraException, OmegaConfBaseException):
        return groups
    return sorted({*groups, *dotted_keys(plain)})


def dotted_keys(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Those of all that a configuration has, mappings included."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{key}.")
