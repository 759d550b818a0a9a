"""From Hydra overrides to a run's configuration."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product
from math import prod
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.config.messages import dotted_keys, explain
from reslab.config.places import composed, composed_of_hydra, find_option
from reslab.errors import UserError

MOST_VALUES = 10_000  # of one override of a sweep


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
        return composed(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


def compose_search(overrides: Sequence[str]) -> DictConfig:
    """The options of a search, `search`, for those of its overrides that are about that.

    Raises:
        UserError: An override names nothing.
    """
    try:
        return composed(overrides, "search")
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


def launcher_options(overrides: Sequence[str]) -> dict[str, Any]:
    """What Hydra's launcher is to be, of its own overrides.

    Raises:
        UserError: An override names nothing.
    """
    try:
        options: dict[str, Any] = composed_of_hydra(overrides)["launcher"]
        return options
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, overrides)) from error


def parse_overrides(overrides: Sequence[str]) -> list[tuple[str, str, list[Any]]]:
    """Key, text and values of each override; a sweep has several values.

    Raises:
        UserError: An override is not one.
    """
    try:
        return [
            (
                o.key_or_group,
                str(o.input_line),
                _values(o, o.sweep_iterator) if o.is_sweep_override() else [o.value()],
            )
            for o in OverridesParser.create().parse_overrides(list(overrides))
        ]
    except HydraException as error:
        raise UserError(explain(error, overrides)) from error


def _values(one: Override, iterate: Callable[[], Iterator[Any]]) -> list[Any]:
    """All of a sweep's: a range may have no end to speak of, or none to be reached.

    Raises:
        UserError: There are more than anybody means, or they cannot be told.
    """
    try:
        values = list(islice(iterate(), MOST_VALUES + 1))
    except HydraException:
        raise
    except Exception as error:  # of whatever its functions are given
        raise UserError(f"{one.input_line}: {error}") from error
    if len(values) > MOST_VALUES:
        raise UserError(f"{one.input_line}: that is more than {MOST_VALUES:,} values: give fewer")
    return values


def check_choices(overrides: Sequence[str]) -> None:
    """Refuses an ablation beside a choice by hand of the group that it changes.

    Hydra lets the choice by hand win: the ablation would silently do nothing.

    Raises:
        UserError: Both are there.
    """
    parsed = {key: (text, values) for key, text, values in parse_overrides(overrides)}
    for ablation in parsed.get("ablation", ("", []))[1]:
        for group in groups_chosen_by("ablation", str(ablation)):
            if group in parsed:
                raise UserError(
                    f"{parsed[group][0]} and ablation={ablation} both choose the {group}: "
                    f"leave one of them out"
                )


def groups_chosen_by(group: str, name: str) -> list[str]:
    """The groups of which a recipe or an ablation chooses an option, or the one that it goes by."""
    return list(choices_of(group, name))


def choices_of(group: str, name: str) -> dict[str, str | None]:
    """What a recipe or an ablation chooses of each group, or the one that it goes by."""
    found: dict[str, str | None] = {}
    for content in _contents(group, name):
        for entry in content.get("defaults", []):
            if isinstance(entry, dict):
                found |= {str(key).removeprefix("override /"): one for key, one in entry.items()}
    return found


def keys_set_by(group: str, name: str) -> set[str]:
    """Dotted keys to which a recipe gives a value, or the one that it goes by."""
    contents = _contents(group, name)
    return {key for one in contents for key in dotted_keys({**one, "defaults": None})}


def _contents(group: str, name: str) -> Iterator[dict[str, Any]]:
    """The file of an option, after those of the same group that it goes by."""
    path = find_option(group, name)
    content: Any = OmegaConf.to_container(OmegaConf.load(path)) if path else {}
    for entry in content.get("defaults", []):
        if isinstance(entry, str) and entry.startswith(f"/{group}/"):
            yield from _contents(group, entry.removeprefix(f"/{group}/"))
    yield content


def single_runs(overrides: Sequence[str], most: int) -> list[list[str]]:
    """The overrides of each run of a sweep; of one run those that it has.

    Raises:
        UserError: An override is not one, or there are more runs than `most`.
    """
    try:
        choices = []
        for one in OverridesParser.create().parse_overrides(list(overrides)):
            texts = [str(one.input_line)]
            if one.is_sweep_override():
                values = _values(one, one.sweep_string_iterator)
                texts = [f"{one.get_key_element()}={value}" for value in values]
            choices.append(texts)
    except HydraException as error:
        raise UserError(explain(error, overrides)) from error
    if prod(map(len, choices)) > most:
        raise UserError(f"that is a sweep of more than {most} runs: give fewer values")
    return [list(one) for one in product(*choices)]
