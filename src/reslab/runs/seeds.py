"""Runs that differ in the seed alone: which they are, what they are called, what they come to."""

from collections.abc import Sequence
from math import fsum, sqrt
from statistics import fmean
from typing import Any

from reslab.runs.identity import as_read, differing_keys, select
from reslab.runs.repeat import Repeat


def count_once(runs: Sequence[Repeat]) -> tuple[list[Repeat], list[tuple[Repeat, Repeat]]]:
    """Each run once, finished and by its own name where there is one; and the others with it."""
    same: dict[str, list[Repeat]] = {}
    for run in runs:
        same.setdefault(run.name, []).append(run)
    counted, copies = [], []
    for members in same.values():
        original = max(members, key=lambda run: (run.is_finished, _has_its_name(run)))
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
    if len(values) == 1:
        return float(values[0]), None
    mean = fmean(values)  # and not `stdev`, whose fractions take as long as all else of a list
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _has_its_name(run: Repeat) -> bool:
    return run.directory.name == run.name
