"""What runs come to that differ in the seed alone: printed at once, so without torch."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reslab.errors import UserError
from reslab.runs.identity import differing_keys, hashed_config, label, run_name, select
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory
from reslab.terminal.console import print_table


@dataclass(frozen=True)
class _Run:
    """A run's folder with what is in it."""

    directory: RunDirectory
    name: str
    label: str
    config: dict[str, Any]
    record: Record | None

    @property
    def but_for_its_seed(self) -> dict[str, Any]:
        """What runs share that differ in the seed alone: not the name of what they extend."""
        config = self.config | {"seed": None, "dataset": self.config["dataset"] | {"seed": None}}
        if self.record and self.record.extends and "extend_from" in config:
            config["extend_from"] = f"epoch {self.record.extends.epoch}"
        return config


def print_runs_by_seed(runs: list[RunDirectory], folder: Path) -> None:
    """A line for runs that differ in the seed alone: mean and sample standard deviation.

    Groups of one name are told apart by the keys in which their configurations differ. A run of
    which there are copies counts once.
    """
    begun = [run for run in runs if run.config_file.exists()]
    counted, copies = _count_once([found for run in begun if (found := _read(run))])
    groups: dict[str, list[_Run]] = {}
    for run in counted:
        groups.setdefault(json.dumps(run.but_for_its_seed, sort_keys=True), []).append(run)
    if not runs:
        print(f"no runs under {folder}")
    namesakes: dict[str, list[dict[str, Any]]] = {}
    for first, *_ in groups.values():
        namesakes.setdefault(first.label, []).append(first.but_for_its_seed)
    rows = [_row(members, namesakes[members[0].label]) for members in groups.values()]
    if rows:
        print_table(None, ("Runs", "n", "Val, %", "Test, %"), rows)
    for copy, original in copies:
        print(f"{copy.directory.path} is not counted: it is a copy of {original.directory.name}")
    for other in (run for run in runs if run not in begun):
        print(f"{other.path} is not counted: {other.state()}{_why(other)}")


def _read(run: RunDirectory) -> _Run | None:
    try:
        cfg = run.config()
        found = _Run(run, run_name(cfg), label(cfg), hashed_config(cfg), _record(run))
        json.dumps(found.but_for_its_seed)
        return found
    except Exception as error:  # whatever stands in a foreign or spoilt file
        fault = str(error).strip().partition("\n")[0]
        if not isinstance(error, UserError):
            fault = f"{run.config_file} is no run's configuration: {fault}"
        print(f"warning: {fault}", file=sys.stderr)
        return None


def _why(run: RunDirectory) -> str:
    """What was said when a run failed, empty for one that did not or of which nobody knows."""
    try:
        with run.failure_file.open(errors="replace") as file:
            return f": {file.readline().strip()}"
    except OSError:
        return ""


def _count_once(runs: Sequence[_Run]) -> tuple[list[_Run], list[tuple[_Run, _Run]]]:
    """Each run once, finished and by its own name where there is one; and the others with it."""
    same: dict[str, list[_Run]] = {}
    for run in runs:
        same.setdefault(run.name, []).append(run)
    counted, copies = [], []
    for members in same.values():
        original = max(members, key=lambda run: (run.record is not None, _has_its_name(run)))
        counted.append(original)
        copies += [(run, original) for run in members if run is not original]
    return counted, copies


def _has_its_name(run: _Run) -> bool:
    return run.directory.name == run.name


def _row(members: Sequence[_Run], namesakes: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    config = members[0].but_for_its_seed
    differs = {key for other in namesakes for key in differing_keys(config, other)}
    words = [members[0].label, *(f"{key}={select(config, key)}" for key in sorted(differs))]
    records = [run.record for run in members if run.record]
    tests = pd.Series([100 * record.test_accuracy for record in records], dtype=float)
    vals = pd.Series([100 * record.val_accuracy for record in records], dtype=float)
    n = f"{len(records)}/{len(members)}" if len(records) < len(members) else f"{len(records)}"
    if len({record.provenance.code_digest for record in records}) > 1:
        words.append("(several versions of the code)")
    if not all(record.provenance.exact for record in records):
        words.append("(some not exact)")
    return " ".join(words), n, _mean(vals), _mean(tests)


def _mean(values: pd.Series) -> str:
    if values.empty:
        return ""
    return f"{values.mean():.2f}" + (f" ± {values.std():.2f}" if len(values) > 1 else "")


def _record(run: RunDirectory) -> Record | None:
    try:
        return run.record()
    except UserError:  # spoilt: there is nothing to show
        return None
