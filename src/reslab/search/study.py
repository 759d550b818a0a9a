"""The study that searchers share: a trial is one's of them for as long as that lives."""

import copy
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import optuna
from optuna.samplers import BaseSampler, BruteForceSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from reslab import locks
from reslab.config import instantiate
from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.search.distributions import distribution_of
from reslab.search.journal import open_journal
from reslab.search.plan import Search
from reslab.search.signs import Signs

# What the study says of a trial: whose it is, its run, instead of which it is, why it failed.
SEARCHER, RUN, INSTEAD_OF, REASON = "searcher", "run", "instead_of", "reason"
ASKED = "asked"
OPEN = (TrialState.RUNNING, TrialState.WAITING)


class Study:
    """A search's trials, wherever they are run.

    What a searcher that is gone has left is taken over: its trial is told failed, and another has
    its values, whose run goes on where that one's stopped, or is at its end already. So is one
    that has failed, once its searcher is gone: the same command tries it again.

    Args:
        search: The search.
        may_start: Whether a run may be begun where this searcher's are, or its job taken up.

    Raises:
        UserError: The study is another search's, or the storage does not answer.
    """

    def __init__(self, search: Search, may_start: Callable[[RunDirectory], bool]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.search, self.may_start = search, may_start
        self._lock = search.folder / "search.lock"
        started = time.time_ns()
        self._me = {"host": socket.gethostname(), "pid": os.getpid()}
        self._me["lock"] = f"searcher-{self._me['host']}-{self._me['pid']}-{started}.lock"
        self._distributions = {key: distribution_of(one) for key, one in search.bounds.items()}
        self._sampler(0)  # so that what is wrong with it is said now
        search.folder.mkdir(parents=True, exist_ok=True)
        with locks.held(self._lock):
            self._study = self._open()
        self._signs = Signs(self._study)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Holds what says that this searcher lives, and goes when its process does."""
        with locks.held(self.search.folder / str(self._me["lock"])):
            yield

    def give_sign(self) -> None:
        """Says now and then that this searcher lives, for those in whose folders its lock is not.

        Raises:
            UserError: Another has taken it for gone, as on a machine that has slept.
        """
        if self.search.options.search.storage and self._signs.give(str(self._me["lock"])):
            trials = self._study.get_trials(deepcopy=False)
            for one in trials:
                at = one.user_attrs.get(INSTEAD_OF)
                if at is not None and trials[at].user_attrs.get(SEARCHER) == self._me:
                    raise UserError(
                        f"another searcher has taken over trial {at}, since this one gave no sign "
                        f"for minutes; the same command goes on"
                    )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One searcher at a time, for what is done once all trials have ended."""
        with locks.held(self.search.folder / "finish.lock"):
            yield

    def ask(self) -> Trial | None:
        """The next trial, None where there are as many as there are to be.

        What is drawn follows from the seed and the number of trials that there are, so that a
        search that is stopped goes on as if it had not been.
        """
        with locks.held(self._lock):
            self._take_over()
            trials = self.trials()
            is_one_left = any(one.state == TrialState.WAITING for one in trials)
            if len(trials) >= self.number and not is_one_left:
                return None
            self._study.sampler = self._sampler(len(trials))
            trial = self._study.ask(self._distributions)
            trial.set_user_attr(SEARCHER, self._me)
            return trial

    @property
    def number(self) -> int:
        """How many trials there are to be: of a grid no more than it has combinations."""
        number = int(self.search.options.search.trials)
        if isinstance(self._sampler(0), BruteForceSampler):
            total = 1
            for one in self.search.bounds.values():
                total *= one.count or number
            number = min(number, total)
        return number

    def trials(self) -> list[FrozenTrial]:
        """Those that count: of a trial that another was run instead of, that other one."""
        trials = self._study.get_trials(deepcopy=False)
        replaced = {one.user_attrs.get(INSTEAD_OF) for one in trials}
        return [one for one in trials if one.number not in replaced]

    def best(self) -> FrozenTrial | None:
        """The best of those that came to their ends, the first of equals; None without any."""
        ended = [one for one in self.trials() if one.state == TrialState.COMPLETE]
        sign = -1 if self.search.maximizes else 1
        return min(ended, key=lambda one: (sign * (one.value or 0.0), one.number), default=None)

    def same_as(self, trial: Trial) -> FrozenTrial | None:
        """A trial of the same values that came to its end."""
        return next(
            (
                one
                for one in self.trials()
                if one.state == TrialState.COMPLETE and one.params == trial.params
            ),
            None,
        )

    def runs(self) -> list[RunDirectory]:
        """The runs of all trials that have one."""
        names = {one.user_attrs.get(RUN) for one in self.trials()}
        return [RunDirectory(self.search.runs_dir / name) for name in sorted(filter(None, names))]

    def open(self) -> list[int]:
        """The numbers of trials that a searcher has, or that wait for one."""
        return [one.number for one in self.trials() if one.state in OPEN]

    def complete(self, trial: Trial, value: float) -> None:
        """Tells what a trial came to."""
        self._tell(trial, TrialState.COMPLETE, value)

    def prune(self, trial: Trial) -> None:
        """Tells that a trial was stopped since others were better."""
        self._tell(trial, TrialState.PRUNED)

    def fail(self, trial: Trial, reason: str) -> None:
        """Tells that a trial came to nothing, and why."""
        trial.set_user_attr(REASON, reason)
        self._tell(trial, TrialState.FAIL)

    def importances(self) -> dict[str, float]:
        """How much each key matters to the result, shares of 1; empty where too few have ended."""
        values = {one.value for one in self.trials() if one.state == TrialState.COMPLETE}
        if len(values) < 2:
            return {}
        seeded = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(self._study, evaluator=seeded)

    def _tell(self, trial: Trial | int, state: TrialState, value: float | None = None) -> None:
        self._study.sampler = optuna.samplers.RandomSampler()  # a grid's would end `optimize`
        self._study.tell(trial, value, state=state)

    def _open(self) -> optuna.Study:
        search = self.search
        try:
            study = optuna.create_study(
                storage=self._storage(),
                study_name=search.name,
                direction="maximize" if search.maximizes else "minimize",
                pruner=instantiate(search.options, "search.pruner"),
                load_if_exists=True,
            )
        except UserError:
            raise
        except Exception as error:  # whatever a database's driver makes of an address
            line = str(error).strip().partition("\n")[0]
            raise UserError(f"search.storage: {line}") from error
        there = study.user_attrs.get(ASKED)
        if there is None:
            study.set_user_attr(ASKED, search.asked)
        elif there != search.asked:
            keys = ", ".join(key for key in search.asked if there.get(key) != search.asked[key])
            raise UserError(
                f"search.name={search.name} is a study that differs in {keys}: choose another name"
            )
        return study

    def _storage(self) -> str | BaseStorage:
        if self.search.options.search.storage:
            return str(self.search.options.search.storage)
        return open_journal(self.search.folder / "journal.log")

    def _sampler(self, number: int) -> BaseSampler:
        """The sampler for the trial of that number, seeded for it."""
        options = copy.deepcopy(self.search.options)
        seeds = [int(options.search.seed), number]
        options.search.seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        sampler: BaseSampler = instantiate(options, "search.sampler")
        if isinstance(sampler, BruteForceSampler):
            for key, one in self.search.bounds.items():
                if one.count is None:
                    raise UserError(
                        f"search/sampler=grid: {key} has no end of values: give it some, or a range"
                    )
        return sampler

    def _take_over(self) -> None:
        for one in self.trials():
            if one.state == TrialState.RUNNING and self._is_left(one):
                self._tell(one.number, TrialState.FAIL)
        for one in self.trials():
            if one.state == TrialState.FAIL and self._is_left(one):
                self._study.enqueue_trial(one.params, user_attrs={INSTEAD_OF: one.number})

    def _is_left(self, trial: FrozenTrial) -> bool:
        """Whether nobody has it any more.

        Nor may anybody have its run, which may be saving still, or be in the queue of a cluster:
        there, who has the same cluster takes up its job.
        """
        searcher = trial.user_attrs.get(SEARCHER)
        if searcher is None:  # killed while it had the lock that we have now
            return True
        if searcher == self._me:
            return False
        lock = self.search.folder / searcher["lock"]
        if lock.exists():
            is_alive = locks.is_held(lock) is not False
        else:  # in another folder, as a database allows, of whatever machine
            is_alive = not self._signs.are_over(searcher["lock"])
        if is_alive:
            return False
        run = trial.user_attrs.get(RUN)
        return run is None or self.may_start(RunDirectory(self.search.runs_dir / run))
