"""A search from what is asked to what it comes to."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.trial import FrozenTrial

from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory
from reslab.search.places import find_places
from reslab.search.plan import Search, plan
from reslab.search.recipe import write_recipe
from reslab.search.record import write_record
from reslab.search.searcher import Searcher
from reslab.search.study import REASON, Study


@dataclass(frozen=True)
class Found:
    """What a search has come to.

    Attributes:
        best: The best trial.
        monitor: By what metric.
        overrides: Its run's.
        directory: Its run.
        record: What it came to on the test set, which it alone has read.
        command: Runs it by its recipe.
        written: What was written about the search.
    """

    best: FrozenTrial
    monitor: str
    overrides: tuple[str, ...]
    directory: RunDirectory
    record: Record
    command: tuple[str, ...]
    written: tuple[Path, ...]


def search(overrides: Sequence[str], reporter: Reporter = SILENT) -> Found:
    """Runs the trials that a study lacks, then the best of them on the test set.

    Args:
        overrides: Hydra's, of all trials; what has several values or bounds is chosen for each.
            `search.*` and `search/*` say how, `hydra/launcher=local` or `slurm` where, and how
            many at a time.
        reporter: Is told of each trial as it begins and ends.

    Raises:
        UserError: An override is wrong, or no trial has come to its end.
    """
    asked = plan(overrides)
    places, at_a_time = find_places(asked, reporter)
    study = Study(asked, places.may_start)
    reporter.say(f"search {asked.name}: {study.number} trials, in {asked.folder}")
    searcher = Searcher(asked, study, places, at_a_time, reporter)
    with study.searching():
        try:
            signum = searcher.run()
        finally:
            write_record(asked, study)
        if signum is not None:
            raise SystemExit(128 + signum)
        with study.alone():
            return _conclude(asked, study, searcher, reporter)


def _conclude(asked: Search, study: Study, searcher: Searcher, reporter: Reporter) -> Found:
    best = study.best()
    if best is None:
        reasons = [one.user_attrs.get(REASON) for one in study.trials()]
        last = next(filter(None, reversed(reasons)), "all were pruned")
        raise UserError(f"no trial has come to its end: {last}")
    overrides = asked.overrides(best.params)
    cell = searcher.cell(overrides, f"trial {best.number}, the best", tested=True)
    if not cell.directory.record_file.exists():
        reporter.say(f"{cell.title}: reading the test set")
        ended = searcher.finish(cell)
        if ended is None:
            raise SystemExit(128 + (searcher.stopped_by or 0))
        if ended.state != "finished":
            raise UserError(f"{cell.title}: {ended.reason}; the same command tries it again")
    record = cell.directory.record()
    assert record is not None
    said = f"trial {best.number} of {len(study.trials())}, {asked.monitor} {best.value:.4f}"
    about = (f"The best of the search {asked.name}:", f"{said}; its run is {cell.directory.name}.")
    command = tuple(write_recipe(asked, overrides, about))
    written = write_record(asked, study, shlex.join(command), cell.directory.name, drawn=True)
    return Found(best, asked.monitor, overrides, cell.directory, record, command, written)
