"""Runs that differ in the seed alone: which they are, what they are called, what they come to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from reslab.errors import UserError
from reslab.runs.identity import (
    as_read,
    differing_keys,
    hashed_config,
    label,
    run_name,
    select,
)
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Repeat:
    """A run's folder with what is in it, to be put beside those of other seeds."""

    directory: RunDirectory
    name: str
    label: str
    config: dict[str, Any]
    record: Record | None
    recipe: str | None

    @classmethod
    def read(cls, run: RunDirectory) -> "Repeat":
        """Reads it; of a spoilt record there is nothing to show.

        Raises:
            UserError: Its configuration is missing, damaged or foreign.
        """
        try:
            kept = run.kept_config()
            record = _record(run)
            recipe = record.recipe if record else _recipe_asked(run)
            found = cls(run, run_name(kept), label(kept), hashed_config(kept), record, recipe)
            _ = found.group
            return found
        except UserError:
            raise
        except Exception as error:  # whatever stands in a foreign or spoilt file
            fault = str(error).strip().partition("\n")[0]
            if isinstance(error, KeyError):
                fault = f"it has no {error}"
            raise UserError(f"{run.config_file} is no run's configuration: {fault}") from error

    @cached_property
    def but_for_its_seed(self) -> dict[str, Any]:
        """What runs share that differ in the seed alone: not the name of what they extend."""
        config = self.config | {"seed": None, "dataset": self.config["dataset"] | {"seed": None}}
        if self.record and self.record.extends and "extend_from" in config:
            config["extend_from"] = f"epoch {self.record.extends.epoch}"
        return config

    @cached_property
    def group(self) -> str:
        """The same text for all that differ in the seed alone."""
        return json.dumps(self.but_for_its_seed, sort_keys=True)


def count_once(runs: Sequence[Repeat]) -> tuple[list[Repeat], list[tuple[Repeat, Repeat]]]:
    """Each run once, finished and by its own name where there is one; and the others with it."""
    same: dict[str, list[Repeat]] = {}
    for run in runs:
        same.setdefault(run.name, []).append(run)
    counted, copies = [], []
    for members in same.values():
        original = max(members, key=lambda run: (run.record is not None, _has_its_name(run)))
        counted.append(original)
        copies += [(run, original) for run in members if run is not original]
    return counted, copies


def titles(runs: Sequence[Repeat]) -> dict[str, str]:
    """What each group of runs is called: its label, and what tells it from its namesakes.

    That is the recipe, and among those of one recipe the keys that differ.

    Returns:
        A group's text to what it is called, in the order of the runs.
    """
    groups = {run.group: run for run in runs}
    recipes: dict[str, set[str | None]] = {}
    namesakes: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for one in groups.values():
        recipes.setdefault(one.label, set()).add(one.recipe)
        namesakes.setdefault((one.label, one.recipe), []).append(one.but_for_its_seed)
    differing = {
        name: sorted({key for other in others for key in differing_keys(others[0], other)})
        for name, others in namesakes.items()
    }

    def called(one: Repeat) -> str:
        words = [one.label]
        if one.recipe and len(recipes[one.label]) > 1:
            words.append(f"recipe={one.recipe}")
        for key in differing[one.label, one.recipe]:
            words.append(f"{key}={as_read(select(one.but_for_its_seed, key))}")
        return " ".join(words)

    return {group: called(one) for group, one in groups.items()}


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean, and of several the sample standard deviation."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def _has_its_name(run: Repeat) -> bool:
    return run.directory.name == run.name


def _recipe_asked(run: RunDirectory) -> str | None:
    try:
        request = run.request()
    except UserError:
        return None
    return request.recipe if request else None


def _record(run: RunDirectory) -> Record | None:
    try:
        return run.record()
    except UserError:
        return None
