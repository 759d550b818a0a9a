"""What is compared: groups of runs that differ in the seed alone, and what they answered."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reslab.errors import UserError
from reslab.runs.record import Record
from reslab.runs.seeds import titles
from reslab.studio.scan import Known, Scan


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
    runs: dict[float, Known] = field(default_factory=dict)

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
        repeats = [one.repeat for one in self.runs.values()]
        return [one.record for one in repeats if one and one.record]

    @property
    def state(self) -> str:
        """How many of its runs are in which state; that of a single one."""
        counts = Counter(one.line["state"] for one in self.runs.values())
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


def titles_among(runs: Sequence[Known]) -> dict[str, str]:
    """A run's name to what it is called: its keys are those alone in which these runs differ."""
    called = titles([one.repeat for one in runs if one.repeat])
    return {
        one.directory.name: re.sub(r"\S+\.(?=\w+=)", "", called[one.repeat.group])  # no groups
        if one.repeat
        else one.directory.name
        for one in runs
    }


def title(members: Sequence[Known], called: Mapping[str, str]) -> str:
    """What a run is called, or several that differ in the seed alone."""
    name, repeat = members[0].directory.name, members[0].repeat
    if len(members) > 1:
        return f"{called[name]}, {len(members)} seeds"
    return f"{called[name]}, seed {repeat.config['seed']:g}" if repeat else name


def sides(scan: Scan, names: Sequence[str]) -> tuple[list[Side], list[str]]:
    """Groups of seeds, or if there is but one group its runs, in the order of the names.

    Returns:
        The sides, and the names of which there is no run with a configuration.
    """
    scan.read_all()
    known = {name: scan.known(name) for name in names}
    whole = [(one, one.repeat) for one in known.values() if one and one.repeat]
    missing = [name for name, one in known.items() if not (one and one.repeat)]
    fold = len({repeat.group for _, repeat in whole}) > 1
    found: dict[str, Side] = {}
    for one, repeat in whole:
        config = repeat.but_for_its_seed if fold else repeat.config
        key = repeat.group if fold else one.directory.name
        side = found.setdefault(key, Side("", config))
        side.runs.setdefault(repeat.config.get("seed", 0.0), one)
    called = titles_among([one for one, _ in whole])
    for side in found.values():
        side.title = title(list(side.runs.values()), called)
    return list(found.values()), missing


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
        if one.line["state"] == other.line["state"] == "finished"
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


def _answers(one: Known) -> Answers:
    logits, labels, names = one.directory.predictions()
    return Answers(logits.argmax(1), labels, names)
