"""What a search's folder says of it, to whoever has neither Optuna nor torch."""

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from reslab import locks
from reslab.content import parse
from reslab.errors import UserError

FOLDER = "searches"  # below the one with runs
RECORD = "search.json"
MOST_BYTES = 1 << 25  # of a record; of each trial it has less than 1 KiB
MOST_TRIALS = 10**9
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial.

    Attributes:
        number: Its number, from 0.
        state: `finished`, `pruned`, `failed`, or `running` or `waiting`, when that was written.
        value: Of the monitored metric; None before it has one, or if it is no finite number.
        epochs: As many as the study knows of.
        chosen: What was chosen for it, by key.
        run: Its run's name.
        reason: Why it failed.
    """

    number: int
    state: str
    value: float | None
    epochs: float | None
    chosen: dict[str, Any]
    run: str | None
    reason: str | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.state in ("finished", "pruned", "failed")


@dataclass(frozen=True)
class Summary:
    """A search as its record has it.

    Attributes:
        monitor: The metric that the best trial has the best of.
        maximizes: Whether more of it is better.
        trials_asked: How many trials there are to be.
        trials: Those that there are.
        best: The best of those that came to their ends.
        bounds: What each key may be, in words.
        shared: Overrides of all trials.
        sampler: What draws, Optuna's name.
        pruner: What stops trials, Optuna's name.
        seed: Of what is drawn.
        importances: The share of the differences that each key explains; empty before the end.
        command: Runs the best by its recipe, once the search has ended.
        goes_on: The command that goes on with it; None of a record from before it was kept.
    """

    monitor: str
    maximizes: bool
    trials_asked: int
    trials: tuple[Trial, ...]
    best: Trial | None
    bounds: dict[str, str]
    shared: tuple[str, ...]
    sampler: str
    pruner: str
    seed: int
    importances: dict[str, float]
    command: str | None
    goes_on: str | None

    @property
    def best_first(self) -> list[Trial]:
        """Its trials: those that came to their ends, were pruned, go on, and came to nothing."""
        order = {"finished": 0, "pruned": 1, "failed": 3}
        sign = -1 if self.maximizes else 1

        def place(one: Trial) -> tuple[float, ...]:
            value = math.inf if one.value is None else sign * one.value
            return order.get(one.state, 2), value, one.number

        return sorted(self.trials, key=place)


def folders(runs_dir: Path) -> dict[str, Path]:
    """Each search's folder by its name."""
    try:
        entries = sorted(os.scandir(runs_dir / FOLDER), key=lambda one: one.name)
    except OSError:  # nothing was searched, or it may not be read
        return {}
    return {one.name: Path(one) for one in entries if os.path.isdir(one)}


def file_of(folder: Path, name: str) -> Path:
    """A file of a search's, which lies where the runs do.

    Raises:
        UserError: There is none, or by a link it lies elsewhere.
    """
    file = Path(os.path.realpath(folder / name))
    if not file.is_relative_to(os.path.realpath(folder.parent.parent)):
        raise UserError(f"{folder.name}/{name} lies elsewhere by a link, and is not read")
    if not os.path.isfile(file):
        raise UserError(
            f"{folder.name}/{name} is not there: the same `reslab search` command writes it"
        )
    return file


def read(folder: Path) -> Summary:
    """What a search's record says.

    Raises:
        UserError: There is none, or it cannot be read as one.
    """
    file = file_of(folder, RECORD)
    try:
        status = file.stat()
        if status.st_size > MOST_BYTES:
            raise UserError(f"{folder.name}/{RECORD} is larger than a search's is, and is not read")
        return _read(file, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise UserError(f"{folder.name}/{RECORD} cannot be read: {error.strerror}") from error
    except DAMAGE as error:
        raise UserError(
            f"{folder.name}/{RECORD} is damaged, or no search's: the same `reslab search` command "
            f"writes it anew"
        ) from error


def state(folder: Path, summary: Summary) -> str:
    """What becomes of a search: `running`, `finished`, `failed` or `interrupted`."""
    searchers = [one for one in folder.glob("searcher-*.lock") if os.path.isfile(one)]
    if any(locks.is_held(one) is not False for one in searchers):
        return "running"
    if summary.command:
        return "finished"
    ended = sum(one.has_ended for one in summary.trials)
    return "interrupted" if summary.best or ended < summary.trials_asked else "failed"


@lru_cache(maxsize=64)
def _read(file: Path, changed_ns: int, size: int) -> Summary:
    """A record as it is since it changed: what has not is not read again."""
    content = parse(file.read_bytes())
    trials = tuple(_trial(one) for one in content["trials"])
    goes_on, command = content.get("goes_on"), content["command"]
    return Summary(
        monitor=str(content["monitor"]),
        maximizes=bool(content["maximizes"]),
        trials_asked=_whole(content["trials_asked"]),
        trials=trials,
        best=next((one for one in trials if one.number == content["best"]), None),
        bounds={str(key): _in_words(one) for key, one in content["bounds"].items()},
        shared=tuple(map(str, content["overrides"])),
        sampler=_called(content["sampler"]),
        pruner=_called(content["pruner"]),
        seed=int(content["seed"]),
        importances={key: _number(one) or 0.0 for key, one in content["importances"].items()},
        command=None if command is None else str(command),
        goes_on=None if goes_on is None else str(goes_on),
    )


def _trial(content: dict[str, Any]) -> Trial:
    run, reason = content["run"], content["reason"]
    return Trial(
        number=_whole(content["number"]),
        state=str(content["state"]),
        value=_number(content["value"]),
        epochs=_number(content["epochs"]),
        chosen={str(key): one for key, one in content["chosen"].items()},
        run=None if run is None else str(run),
        reason=None if reason is None else str(reason),
    )


def _in_words(bounds: dict[str, Any]) -> str:
    if "texts" in bounds:
        return f"one of {', '.join(map(str, bounds['texts']))}"
    ends = f"{float(bounds['low']):g} to {float(bounds['high']):g}"
    if bounds["step"] is not None:
        return f"{ends} in steps of {float(bounds['step']):g}"
    return f"{ends}, logarithmic" if bounds["log"] else ends


def _called(content: dict[str, Any]) -> str:
    return str(content["_target_"]).rpartition(".")[2]


def _whole(value: Any) -> int:
    if not 0 <= (number := int(value)) < MOST_TRIALS:
        raise ValueError(number)
    return number


def _number(value: Any) -> float | None:
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) else None
