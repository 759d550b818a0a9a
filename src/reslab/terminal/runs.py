"""What the commands about runs print: at once, so without torch."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UserError
from reslab.progress import in_words
from reslab.runs.facts import Facts
from reslab.runs.index import Index
from reslab.runs.outcome import UNTESTED, Outcome
from reslab.runs.store import RunDirectory
from reslab.terminal.console import print_table
from reslab.terminal.reporter import Terminal

if TYPE_CHECKING:
    from reslab.runs.diff import Difference


def print_outcome(outcome: Outcome | None, folder: Path) -> None:
    """What a run came to, or had come to before; None: it was asked to end before its test."""
    if outcome is None:
        print(f"{UNTESTED}\n{folder}")
        return
    print(f"{outcome}\n{folder}" if outcome.trained else f"{folder}: {outcome}")
    if not outcome.trained and outcome.is_of_older_code:
        Terminal().warn(
            "the code that can change a result has changed since; rerun=true trains anew"
        )


def print_runs(runs: list[RunDirectory], folder: Path) -> None:
    """A line a run: state, progress, epochs, best validation and test accuracy, time.

    Of an extension, the epochs are those before it and its own.
    """
    if not runs:
        print(f"no runs under {folder}")
        return
    headings = ("Run", "State", "Left", "Epochs", "Val, %", "Test, %", "Min")
    index = Index(folder)
    rows = [_row(run, index) for run in runs]
    index.save()
    shown = [at for at, name in enumerate(headings) if name != "Left" or any(r[at] for r in rows)]
    print_table(None, [headings[at] for at in shown], [[row[at] for at in shown] for row in rows])


def _row(run: RunDirectory, index: Index) -> tuple[str, ...]:
    repeat, state = None, run.state()
    with contextlib.suppress(UserError):  # spoilt: there is nothing to show
        repeat = index.read(run)
    if state == "finished" and not (repeat and repeat.is_finished):
        state = "damaged"  # what it came to, or was asked, cannot be read
    facts = Facts.read(run, state, repeat, "")
    state, left, at = facts.state, "", facts.progress
    if at and state == "running":
        state, left = f"{state} {at.done:.0%}", in_words(at.seconds_left)
    standing = facts.standing
    epochs = "" if standing.epochs is None else f"{standing.epochs}"
    if standing.epochs and standing.before:
        epochs = f"{standing.before} + {standing.epochs - standing.before}"
    minutes = "" if standing.seconds is None else f"{standing.seconds / 60:.1f}"
    val, test = _percent(standing.val), _percent(standing.test)
    return run.name, state, left, epochs, val, test, minutes


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f}"


def print_difference(first: str, second: str, difference: "Difference") -> None:
    """What sets two runs apart, or that nothing does."""
    parts = {
        "configuration": difference.config,
        "environment": difference.environment,
        "results": difference.results,
    }
    rows = [
        (f"{part}: {key}", _short(one), _short(other))
        for part, found in parts.items()
        for key, (one, other) in found.items()
    ]
    if rows:
        print_table(None, ("", first, second), rows)
    for key, (epoch, gap) in difference.curves.items():
        print(f"{key}: differs from epoch {epoch} on, by {gap:.4g} at the most")
    if difference.images is None:
        print("the test sets differ")
        return
    for word, images in (("lost", difference.lost), ("gained", difference.gained)):
        some = ", ".join(map(str, images[:10])) + (", ..." if len(images) > 10 else "")
        named = f": {some}" if images else ""
        print(f"{len(images)} of {difference.images} test images {word}{named}")
    if not rows and not difference.curves and not difference.lost + difference.gained:
        print("nothing sets them apart")


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
