"""A searcher: takes trials of a study and runs them, as many at a time as there are places."""

import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from optuna.trial import Trial

from reslab.config import own_folders
from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.jobs.claims import TakenError
from reslab.jobs.pool import Ended
from reslab.reporter import Reporter
from reslab.runs.best import best_of
from reslab.runs.control import signals_heard
from reslab.runs.trained import values_of
from reslab.search.places import Open, Places
from reslab.search.plan import UNTESTED, Search
from reslab.search.record import write_record
from reslab.search.study import RUN, Study

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_ASKS = 1.0  # where there was nothing to do, or nowhere to do it


class Searcher:
    """Runs a study's trials until there are as many as there are to be.

    Args:
        search: The search.
        study: Its study.
        places: Where cells run.
        at_a_time: How many trials it has at the most.
        reporter: Is told of each trial as it begins and ends, and shown how far they are.
    """

    def __init__(
        self, search: Search, study: Study, places: Places, at_a_time: int, reporter: Reporter
    ) -> None:
        self.search, self.study, self.places = search, study, places
        self.at_a_time, self.reporter = at_a_time, reporter
        self._open: list[Open] = []
        self._signals: list[int] = []
        self._answered = 0
        self._asked_in_vain = -math.inf
        self._all_taken = False
        self._said = ""

    def run(self) -> int | None:
        """Runs trials, and waits for those of other searchers, which it takes over if they go.

        The first signal has all that goes on save and end; Ctrl-C after it ends them at once.

        Returns:
            The signal that stopped it, None where all trials have ended.
        """
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            try:
                while True:
                    self._answer()
                    if not self._signals:
                        self._take_trials()
                        self._begin()
                    for one in [one for one in self._open if one.job]:
                        self._report(one)
                    for end in self.places.look():
                        self._take(end)
                    if not self._goes_on():
                        break
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            except BaseException:
                self.places.send(signal.SIGTERM)
                raise
        return self.stopped_by

    def finish(self, cell: Cell) -> Ended:
        """Runs one cell to its end, or until a signal has stopped it."""
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            self.places.start(cell)
            while not (ended := self.places.look()):
                self._answer()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        return ended[0]

    @property
    def stopped_by(self) -> int | None:
        """The signal that has stopped it."""
        return self._signals[0] if self._signals else None

    def cell(self, overrides: Sequence[str], title: str, *, tested: bool = False) -> Cell:
        """The run of a trial.

        Raises:
            UserError: Its values do not go together.
        """
        asked = tuple(overrides) if tested else (*overrides, UNTESTED)
        folders = tuple(own_folders())
        return Cell(asked, self.search.directory(overrides), title, folders, tested=tested)

    def _goes_on(self) -> bool:
        if self._signals:
            return bool(self.places.running)
        if self._open or not self._all_taken:
            return True
        others = self.study.open()
        if others:
            self._say_once(f"waiting for what other searchers have: trial {_listed(others)}")
        return bool(others)

    def _answer(self) -> None:
        for at in range(self._answered, len(self._signals)):
            if at == 0:
                self.places.send(signal.SIGTERM)
                self.reporter.say("stopping after this step; Ctrl-C again stops at once")
            elif self._signals[at] == signal.SIGINT:
                self.places.send(signal.SIGKILL)
        self._answered = len(self._signals)

    def _take_trials(self) -> None:
        """Asks for as many trials as there are places for."""
        while len(self._open) < self.at_a_time:
            if time.monotonic() - self._asked_in_vain < SECONDS_BETWEEN_ASKS:
                return
            trial = self.study.ask()
            self._all_taken = trial is None
            if trial is None:
                self._asked_in_vain = time.monotonic()
                return
            overrides = self.search.overrides(trial.params)
            chosen = " ".join(overrides[len(self.search.shared) :])
            title = f"trial {trial.number}: {chosen}"
            try:
                one = Open(trial, self.cell(overrides, title))
            except UserError as error:
                self._fail(trial, title, str(error))
                continue
            trial.set_user_attr(RUN, one.cell.directory.name)
            self._open.append(one)

    def _begin(self) -> None:
        """Begins those whose run nobody has; what is known already is answered."""
        for one in [one for one in self._open if not one.job]:
            directory = one.cell.directory
            if known := self.study.same_as(one.trial):
                self._close(one, f"as trial {known.number}", known.value)
            elif self._is_ours(directory.path, one) or directory.is_running():
                continue
            elif one.cell.is_done:
                self._complete(one, 0.0)
            elif self.places.has_room:
                try:
                    one.job = self.places.start(one.cell)
                except TakenError:
                    continue
                except UserError as error:
                    self._open.remove(one)
                    self._fail(one.trial, one.cell.title, str(error))
                    continue
                self._tell(f"{one.cell.title}: begun on {one.job.slot.name}")

    def _is_ours(self, path: Path, asked: Open) -> bool:
        """Whether another of our trials has come to the same run."""
        return any(one.cell.directory.path == path and one.job for one in self._open)

    def _report(self, one: Open) -> None:
        """Tells the study of epochs that are over, and stops what is worse than others were."""
        values = values_of(one.cell.directory, self.search.monitor)
        for epoch, value in enumerate(values[one.reported :], one.reported + 1):
            one.trial.report(value, epoch)
            one.reported = epoch
            if one.job and not one.pruned and one.trial.should_prune():
                one.pruned = True
                one.job.send(signal.SIGTERM)

    def _take(self, end: Ended) -> None:
        one = next(one for one in self._open if one.cell is end.cell)
        one.job = None
        if end.state == "elsewhere":
            return
        self._report(one)
        if end.state == "finished":
            self._complete(one, end.seconds)
        elif end.state == "stopped" and one.pruned:
            self._open.remove(one)
            self.study.prune(one.trial)
            self._tell(f"{one.cell.title}: pruned after epoch {one.reported}")
        elif end.state == "stopped" and self._signals:
            self._open.remove(one)  # it is this searcher's until that is gone, then anyone's
            self.reporter.say(f"{one.cell.title}: {end.reason}")
        else:
            self._open.remove(one)
            self._fail(one.trial, one.cell.title, end.reason)

    def _complete(self, one: Open, seconds: float) -> None:
        values = values_of(one.cell.directory, self.search.monitor)
        epoch = best_of(values, self.search.monitor)
        if not epoch or math.isnan(values[epoch - 1]):
            self._open.remove(one)
            what = values[epoch - 1] if epoch else "not there"
            return self._fail(one.trial, one.cell.title, f"{self.search.monitor} is {what}")
        how = f"best epoch {epoch} of {len(values)}, {seconds:.0f} s"
        self._close(one, how, values[epoch - 1])

    def _close(self, one: Open, how: str, value: float | None) -> None:
        assert value is not None
        self._open.remove(one)
        self.study.complete(one.trial, value)
        best = self.study.best()
        said = f"{self.search.monitor} {value:.4f} ({how})"
        if best and best.number != one.trial.number:
            said += f"; trial {best.number} has {best.value:.4f}"
        self._tell(f"{one.cell.title}: {said}")

    def _fail(self, trial: Trial, title: str, reason: str) -> None:
        self.study.fail(trial, reason)
        self._tell(f"{title}: failed: {reason}")

    def _tell(self, line: str) -> None:
        """Says what has become of a trial, which whoever watches the search can read by then."""
        write_record(self.search, self.study)
        self.reporter.say(line)

    def _say_once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self.reporter.say(line)

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all trials."""
        running = [job.cell.directory.path for job in self.places.running]
        return running, f"search {self.search.name}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
