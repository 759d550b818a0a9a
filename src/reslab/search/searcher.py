"""A searcher: takes trials of a study and runs them, as many at a time as there are places."""

import contextlib
import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from reslab.config import own_folders
from reslab.errors import UserError
from reslab.jobs.account import Ended
from reslab.jobs.cell import Cell
from reslab.jobs.claims import TakenError
from reslab.jobs.pool import Pool
from reslab.jobs.slurm_queue import settle
from reslab.reporter import Reporter
from reslab.runs.control import signals_heard
from reslab.runs.store import InUseError
from reslab.search.places import Open, Places
from reslab.search.plan import UNTESTED, Search
from reslab.search.study import INSTEAD_OF, RUN, Study
from reslab.search.verdicts import Verdicts

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_ASKS = 1.0  # where there was nothing to do, or nowhere to do it
SECONDS_BETWEEN_SETTLINGS = 30.0  # of what others' jobs have come to, for which a cluster is asked
SECONDS_BETWEEN_TRIES = 30.0  # to begin what could not be begun


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
        self.verdicts = Verdicts(search, study, reporter)
        self._open: list[Open] = []
        self._signals: list[int] = []
        self._answered = 0
        self._asked_in_vain = self._settled = self._tried_in_vain = -math.inf
        self._all_taken = False
        self._said = ""

    def run(self) -> int | None:
        """Runs trials, and waits for those of other searchers, which it takes over if they go.

        The first signal has all that goes on here save and end; Ctrl-C after it ends them at once.
        What a cluster has goes on there: the same command takes it up again.

        Returns:
            The signal that stopped it, None where all trials have ended.

        Raises:
            UserError: A trial cannot be begun, though no other is in its way, or another has
                taken over what this one has.
        """
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            try:
                while True:
                    self._answer()
                    if not self._signals:
                        self.study.give_sign()
                        self._settle()
                        self._take_trials()
                        self._begin()
                    for one in [one for one in self._open if one.job]:
                        self.verdicts.report(one)
                    for end in self.places.look():
                        self._take(end)
                    if not self._goes_on():
                        break
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                self._answer()  # a signal that came since it last did
            except BaseException:
                self.places.stop()
                raise
        return self.stopped_by

    def finish(self, cell: Cell) -> Ended | None:
        """Runs one cell to its end; gives None where a signal has stopped it."""
        ended: list[Ended] = []
        is_begun = False
        with signals_heard(self._signals.append), self.reporter.watching(self._watched):
            while not ended and (not self._signals or self.places.running):
                self._answer()
                is_free = self.places.has_room and self.places.may_start(cell.directory)
                if is_free and not (is_begun or self._signals):
                    with contextlib.suppress(InUseError, TakenError):
                        self.places.start(cell)
                        is_begun = True
                ended = self.places.look()
                time.sleep(SECONDS_BETWEEN_LOOKS)
            self._answer()
        return None if self._signals else ended[0]

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
                self.reporter.say(self.places.stop())
            elif self._signals[at] == signal.SIGINT and isinstance(self.places, Pool):
                self.places.send(signal.SIGKILL)  # what a cluster has goes on there
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
                self.verdicts.fail(trial, title, str(error))
                continue
            trial.set_user_attr(RUN, one.cell.directory.name)
            self._open.append(one)

    def _begin(self) -> None:
        """Begins those whose run nobody has; what is known already is answered."""
        for one in [one for one in self._open if not one.job]:
            if known := self.study.same_as(one.trial):
                self._open.remove(one)
                self.verdicts.repeat(one, known)
            elif self._has_another(one):
                continue
            elif one.cell.is_done and not one.cell.directory.job_file.exists():
                self._open.remove(one)
                self.verdicts.accept(one)
            elif self.places.has_room:
                self._start(one)

    def _has_another(self, asked: Open) -> bool:
        """Whether another has the run of a trial: one of our trials, a searcher, or anybody.

        A job that is to run it is taken up with the trial of a searcher that is gone.
        """
        run = asked.cell.directory
        if any(one.cell.directory.path == run.path and one.job for one in self._open):
            return True
        if run.job_file.exists() and INSTEAD_OF not in asked.trial.user_attrs:
            return True
        return not self.places.may_start(run)

    def _start(self, one: Open) -> None:
        """Begins a trial; what is refused has to wait for others, and without any ends all."""
        if time.monotonic() - self._tried_in_vain < SECONDS_BETWEEN_TRIES:
            return
        try:
            one.job = self.places.start(one.cell)
        except (InUseError, TakenError):
            return
        except UserError as error:
            if not any(other.job for other in self._open):
                raise
            self._tried_in_vain = time.monotonic()
            self.reporter.say(f"{one.cell.title}: {error}; it is tried again")
            return
        self.verdicts.tell(f"{one.cell.title}: {one.job.beginning}")

    def _take(self, end: Ended) -> None:
        one = next(one for one in self._open if one.cell is end.cell)
        one.job = None
        if end.state == "elsewhere":
            return
        self._open.remove(one)
        self.verdicts.report(one)
        if end.state == "finished":
            self.verdicts.complete(one, end.seconds)
        elif end.state == "stopped" and one.pruned:
            self.verdicts.prune(one)
        elif end.state == "stopped" and self._signals:
            # It is this searcher's until that is gone, then anyone's.
            self.reporter.say(f"{one.cell.title}: {end.reason}")
        else:
            self.verdicts.fail(one.trial, one.cell.title, end.reason)

    def _settle(self) -> None:
        """Has runs say what became of their jobs that nobody here waits for."""
        if time.monotonic() - self._settled >= SECONDS_BETWEEN_SETTLINGS:
            ours = [one.cell.directory.path for one in self._open if one.job]
            settle(run for run in self.study.runs() if run.path not in ours)
            self._settled = time.monotonic()

    def _say_once(self, line: str) -> None:
        if line != self._said:
            self._said = line
            self.reporter.say(line)

    def _watched(self) -> tuple[list[Path], str]:
        """The directories of what goes on, and a line about all trials."""
        running = [job.cell.directory.path for job in self.places.running]
        waiting = sum(bool(one.job) for one in list(self._open)) - len(running)
        queued = f", {waiting} queued" if waiting > 0 else ""
        return running, f"search {self.search.name}{queued}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
