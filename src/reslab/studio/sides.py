"""What is compared: groups of runs that differ in the seed alone, and what they answered."""

import contextlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from reslab.errors import UserError
from reslab.runs.identity import as_read
from reslab.runs.record import Record
from reslab.runs.repeat import Repeat
from reslab.runs.seeds import titles
from reslab.runs.store import RunDirectory


@dataclass
class Side:
    """What is compared: runs that differ in the seed alone, or one of these.

    Attributes:
        title: What it is called.
        config: What its runs share of their configuration.
        runs: Seed to run.
    """

    title: str
    config: dict[str, Any]
    runs: dict[float, Repeat] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Its runs'."""
        return [one.directory.name for one in self.runs.values()]

    @property
    def name(self) -> str:
        """By which it is asked for: the first run's."""
        return self.names[0]

    @property
    def records(self) -> list[Record]:
        """Those of the finished runs."""
        return [one.record for one in self.runs.values() if one.record]

    @property
    def state(self) -> str:
        """How many of its runs are in which state; that of a single one."""
        counts = Counter(one.directory.state() for one in self.runs.values())
        if len(self.runs) == 1:
            return next(iter(counts))
        return ", ".join(f"{count} {state}" for state, count in counts.items())


@dataclass(frozen=True)
class Answers:
    """What a run answered to the test images.

    Attributes:
        classes: The class that it answered, of each image, `[N]`.
        labels: The true one, `[N]`.
        names: The classes'.
    """

    classes: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    @property
    def right(self) -> np.ndarray:
        """Which images it has right, bool `[N]`."""
        right: np.ndarray = self.classes == self.labels
        return right


def titles_among(runs: Sequence[Repeat]) -> dict[str, str]:
    """A run's name to what it is called: its keys are those alone in which these runs differ."""
    called = titles(runs)
    short = {group: re.sub(r"\S+\.(?=\w+=)", "", title) for group, title in called.items()}
    return {one.directory.name: short[one.group] for one in runs}


def title(members: Sequence[Repeat], called: Mapping[str, str]) -> str:
    """What a run is called, or several that differ in the seed alone."""
    seed = members[0].config.get("seed")
    seeds = f"{len(members)} seeds" if len(members) > 1 else f"seed {as_read(seed)}"
    return f"{called[members[0].directory.name]}, {seeds}"


def sides(runs: Sequence[str]) -> list[Side]:
    """Groups of seeds, or if there is but one group its runs, in the order in which they come.

    Args:
        runs: Folders of runs; those without a configuration are passed over.
    """
    whole = []
    for run in runs:
        with contextlib.suppress(UserError):
            whole.append(Repeat.read(RunDirectory(Path(run))))
    fold = len({one.group for one in whole}) > 1
    found: dict[str, Side] = {}
    for one in whole:
        config = one.but_for_its_seed if fold else one.config
        side = found.setdefault(one.group if fold else one.directory.name, Side("", config))
        side.runs.setdefault(one.config.get("seed", 0.0), one)
    called = titles_among(whole)
    for side in found.values():
        side.title = title(list(side.runs.values()), called)
    return list(found.values())


def answers(first: Side, second: Side) -> dict[int, tuple[Answers, Answers]]:
    """What both answered to the same test images, for each seed that both have.

    Of a single run each the seeds need not be the same.

    Raises:
        UserError: There is no such seed, a run is not finished, or the test sets differ.
    """
    if len(first.runs) == len(second.runs) == 1:
        pairs = {0: (*first.runs.values(), *second.runs.values())}
    else:
        shared = sorted(first.runs.keys() & second.runs.keys())
        pairs = {int(seed): (first.runs[seed], second.runs[seed]) for seed in shared}
    if not pairs:
        raise UserError("they have no seed in common: nothing can be paired")
    found = {
        seed: (_answers(one), _answers(other))
        for seed, (one, other) in pairs.items()
        if one.record and other.record
    }
    if not found:
        raise UserError("not finished: there is nothing to compare yet")
    one, *others = [each.labels for pair in found.values() for each in pair]
    same = all(np.array_equal(one, other) for other in others)
    if not same or _data(first) != _data(second):
        raise UserError("their test sets differ: image by image there is nothing to compare")
    return found


def _data(side: Side) -> tuple[Any, Any]:
    dataset = side.config["dataset"]
    return dataset.get("name"), dataset.get("content")  # that of a folder of pictures


def _answers(one: Repeat) -> Answers:
    logits, labels, names = one.directory.predictions()
    return Answers(logits.argmax(1), labels, names)
