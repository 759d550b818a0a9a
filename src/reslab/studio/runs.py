"""The table of runs: what it shows of each, and of those together that differ in the seed alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from reslab.progress import in_words
from reslab.runs.facts import Facts
from reslab.runs.seeds import mean_and_deviation
from reslab.studio.drawn import Drawn
from reslab.studio.security import Handler

Number = TypeVar("Number", int, float)

STATES = ("running", "queued", "finished", "untested", "interrupted", "failed")
COLUMNS = (
    *("Run", "State", "Left", "Seed", "Epochs", "Val, %", "Test, %", "Min", "Parameters"),
    *("Begun", "Recipe"),
)


def line(facts: Facts, title: str, group: str, copy_of: str | None) -> dict[str, Any]:
    """A run's line: of each column its text, and the number that it is sorted and filtered by.

    Args:
        facts: The run's.
        title: What it is called.
        group: The same for all that differ in the seed alone.
        copy_of: The run of which it is a copy, which is not counted.
    """
    at, standing = facts.progress, facts.standing
    epochs = f"{at.epoch} of {at.epochs}" if at else _text(standing.epochs)
    left = at.seconds_left if at and facts.state == "running" else None
    notes = {
        f"a copy of {copy_of}, not counted": copy_of is not None,
        "nothing is saved yet: it will begin again": facts.unsaved,
    }
    cells: list[tuple[str, float | None]] = [
        (title, None),
        (f"{facts.state} {at.done:.0%}" if at else facts.state, None),
        (in_words(left), left),
        (_text(facts.seed), facts.seed),
        (epochs, standing.epochs),
        _percent(_known(standing.val)),
        _percent(_known(standing.test)),
        _minutes(_known(standing.seconds)),
        _same(_known(standing.parameters)),
        _begun([facts]),
        (facts.recipe or "", None),
    ]
    return _line(facts.name, group, facts.state, facts.why, cells) | {
        "done": at.done if at and facts.state == "running" else None,
        "note": "; ".join(note for note, holds in notes.items() if holds),
    }


def line_of_seeds(members: Sequence[Facts], title: str, group: str) -> dict[str, Any]:
    """The line of runs that differ in the seed alone: mean and deviation of the finished ones."""
    done = [one.standing for one in members if one.standing.test is not None]
    counts = Counter(one.state for one in members)
    text = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    state = next(
        state
        for state in ("running", "queued", "failed", "interrupted", "untested", "finished")
        if counts[state]
    )
    running = [one.progress for one in members if one.progress and one.state == "running"]
    left = [at.seconds_left or 0 for at in running]
    cells: list[tuple[str, float | None]] = [
        (title, None),
        (text, None),
        (in_words(max(left)), max(left)) if any(left) else ("", None),
        (f"{len(members)} seeds", members[0].seed),
        _same(_known(*(one.epochs for one in done))),
        _percent(_known(*(one.val for one in done))),
        _percent(_known(*(one.test for one in done))),
        _minutes(_known(*(one.seconds for one in done))),
        _same(_known(*(one.parameters for one in done))),
        _begun(members),
        (members[0].recipe or "", None),
    ]
    why = next((one.why for one in members if one.why), "")
    runs = {"runs": [one.name for one in members]}
    return _line(f"seeds of {group}", group, state, why, cells) | runs


def _line(
    name: str, group: str, state: str, why: str, cells: Sequence[tuple[str, float | None]]
) -> dict[str, Any]:
    text, number = zip(*cells, strict=True)
    return {
        **{"name": name, "group": group, "state": state, "why": why},
        **{"text": text, "number": number},
    }


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _known(*values: Number | None) -> list[Number]:
    return [one for one in values if one is not None]


def _same(numbers: Sequence[int]) -> tuple[str, float | None]:
    """What they all are, or from what to what."""
    if not numbers:
        return "", None
    least, most = min(numbers), max(numbers)
    return f"{least:,}" + (f" to {most:,}" if most > least else ""), least


def _percent(shares: Sequence[float]) -> tuple[str, float | None]:
    return _mean([100 * share for share in shares], ".2f")


def _minutes(seconds: Sequence[float]) -> tuple[str, float | None]:
    mean = _mean([one / 60 for one in seconds], ".1f")
    return mean[0].partition(" ")[0], mean[1]


def _mean(values: Sequence[float], form: str) -> tuple[str, float | None]:
    if not values:
        return "", None
    mean, deviation = mean_and_deviation(values)
    return f"{mean:{form}}" + (f" ± {deviation:{form}}" if deviation is not None else ""), mean


def _begun(members: Sequence[Facts]) -> tuple[str, float | None]:
    last = max((one.begun for one in members if one.begun), default=None)
    if last is None:
        return "", None
    return moment(last), last


def moment(seconds: float) -> str:
    """A time (seconds since 1970) as people say it, without the year if it is this one."""
    day = datetime.fromtimestamp(seconds)
    return f"{day.day} {day:%b %Y %H:%M}".replace(f" {datetime.now().year} ", " ")


class View(Drawn):
    """The view before its rows."""

    template = "runs.html"

    def get(self) -> None:
        self.answer({"columns": COLUMNS})


class Runs(Handler):
    """What has changed in the table since an answer's `cursor`."""

    async def get(self) -> None:
        since = self.get_query_argument("since", "")
        changes = await asyncio.to_thread(self.scan.changes, since)
        self.answer({"columns": COLUMNS, "states": STATES, **changes})


HANDLERS: list[tuple[str, Any]] = [("runs", Runs), ("runs/view", View)]
