"""What the commands about runs print: at once, so without torch."""

from pathlib import Path
from typing import Any

import pandas as pd

from reslab.errors import UserError
from reslab.progress import in_words
from reslab.runs.diff import Difference
from reslab.runs.outcome import Outcome
from reslab.runs.store import RunDirectory
from reslab.terminal.console import print_table
from reslab.terminal.reporter import Terminal


def print_outcome(outcome: Outcome, folder: Path) -> None:
    """What a run came to, or had come to before."""
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
    rows = [(run.name, *_state(run), *_results(run)) for run in runs]
    shown = [at for at, name in enumerate(headings) if name != "Left" or any(r[at] for r in rows)]
    print_table(None, [headings[at] for at in shown], [[row[at] for at in shown] for row in rows])


def _state(run: RunDirectory) -> tuple[str, str]:
    """The state, of a running one with how much is done, and the time left."""
    state, at = run.state(), None
    if state == "running":
        at = run.progress()
    if at is None:
        return state, ""
    return f"{state} {at.done:.0%}", in_words(at.seconds_left)


def _results(run: RunDirectory) -> tuple[str, str, str, str]:
    try:
        history, record = pd.read_csv(run.metrics_file), run.record()
    except (OSError, ValueError, UserError):  # not there yet, or spoilt: there is nothing to show
        return "", "", "", ""
    val = record.val_accuracy if record else history["val/accuracy"].max()
    test = f"{100 * record.test_accuracy:.2f}" if record else ""
    epochs = f"{len(history)}"
    if record and record.extends:
        epochs = f"{record.extends.epoch} + {len(history) - record.extends.epoch}"
    return epochs, f"{100 * val:.2f}", test, f"{history['seconds'].sum() / 60:.1f}"


def print_difference(first: str, second: str, difference: Difference) -> None:
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
