"""What runs come to that differ in the seed alone: printed at once, so without torch."""

import sys
from collections.abc import Sequence
from pathlib import Path

from reslab.errors import UserError
from reslab.runs.index import Index
from reslab.runs.repeat import Repeat
from reslab.runs.seeds import count_once, mean_and_deviation, titles
from reslab.runs.store import RunDirectory
from reslab.terminal.console import print_table


def print_runs_by_seed(runs: list[RunDirectory], folder: Path) -> None:
    """A line for runs that differ in the seed alone: mean and sample standard deviation.

    Groups of one name are told apart by the keys in which their configurations differ. A run of
    which there are copies counts once.
    """
    begun = [run for run in runs if run.config_file.exists()]
    refused = [run for run in runs if not run.config_file.exists()]
    index = Index(folder)
    counted, copies = count_once([found for run in begun if (found := _read(run, index))])
    index.save()
    groups: dict[str, list[Repeat]] = {}
    for run in counted:
        groups.setdefault(run.group, []).append(run)
    if not runs:
        print(f"no runs under {folder}")
    rows = [_row(title, groups[group]) for group, title in titles(counted).items()]
    if rows:
        print_table(None, ("Runs", "n", "Val, %", "Test, %"), rows)
    for copy, original in copies:
        print(f"{copy.directory.path} is not counted: it is a copy of {original.directory.name}")
    for other in refused:
        why = f": {reason}" if (reason := other.why()) else ""
        print(f"{other.path} is not counted: {other.state()}{why}")


def _read(run: RunDirectory, index: Index) -> Repeat | None:
    try:
        return index.read(run)
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)
        return None


def _row(title: str, members: Sequence[Repeat]) -> tuple[str, ...]:
    done = [run.standing for run in members if run.is_finished]
    words = [title]
    n = f"{len(done)}/{len(members)}" if len(done) < len(members) else f"{len(done)}"
    if len({one.code_digest for one in done}) > 1:
        words.append("(several versions of the code)")
    if not all(one.exact for one in done):
        words.append("(some not exact)")
    vals = [one.val for one in done if one.val is not None]
    tests = [one.test for one in done if one.test is not None]
    return " ".join(words), n, _mean(vals), _mean(tests)


def _mean(accuracies: Sequence[float]) -> str:
    if not accuracies:
        return ""
    mean, deviation = mean_and_deviation([100 * accuracy for accuracy in accuracies])
    return f"{mean:.2f}" + (f" ± {deviation:.2f}" if deviation is not None else "")
