"""What trials come to, told to their study and to people."""

import contextlib

from optuna.trial import FrozenTrial, Trial

from reslab.config import compose
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs.attempt import refuse_another_s
from reslab.runs.best import best_of
from reslab.runs.extension import settled
from reslab.runs.trained import values_of
from reslab.search.places import Open
from reslab.search.plan import Search
from reslab.search.record import write_record
from reslab.search.study import Study


class Verdicts:
    """Tells a study, and whoever looks on, what becomes of trials.

    Args:
        search: The search.
        study: Its study.
        reporter: Is told of each as it ends.
    """

    def __init__(self, search: Search, study: Study, reporter: Reporter) -> None:
        self.search, self.study, self.reporter = search, study, reporter

    def report(self, one: Open) -> None:
        """Tells the study of epochs that are over, and stops what is worse than others were."""
        values: list[float] = []
        with contextlib.suppress(UserError):  # spoilt: it is said once the run is over
            values = values_of(one.cell.directory, self.search.monitor)
        for epoch, value in enumerate(values[one.reported :], one.reported + 1):
            one.trial.report(value, epoch)
            one.reported = epoch
            if one.job and not one.is_told and (one.pruned or one.trial.should_prune()):
                one.pruned = True
                with contextlib.suppress(UserError):  # of a cluster: it is told after the next
                    one.job.end()
                    one.is_told = True

    def complete(self, one: Open, seconds: float) -> None:
        """Tells what one has come to that is finished, of its best epoch."""
        try:
            values = values_of(one.cell.directory, self.search.monitor)
        except UserError as error:
            return self.fail(one.trial, one.cell.title, str(error))
        epoch = best_of(values, self.search.monitor)
        if not epoch:
            what = values[-1] if values else "not there"
            return self.fail(one.trial, one.cell.title, f"{self.search.monitor} is {what}")
        how = f"best epoch {epoch} of {len(values)}, {seconds:.0f} s"
        self._close(one, how, values[epoch - 1])

    def accept(self, one: Open) -> None:
        """Tells what one has come to whose run was there, unless another run's folder is."""
        try:
            refuse_another_s(settled(compose(one.cell.overrides)), one.cell.directory)
        except UserError as error:
            return self.fail(one.trial, one.cell.title, str(error))
        self.complete(one, 0.0)

    def repeat(self, one: Open, known: FrozenTrial) -> None:
        """Tells of one that it is as another was."""
        assert known.value is not None
        self._close(one, f"as trial {known.number}", known.value)

    def prune(self, one: Open) -> None:
        """Tells that one was stopped since others were better."""
        self.study.prune(one.trial)
        self.tell(f"{one.cell.title}: pruned after epoch {one.reported}")

    def fail(self, trial: Trial, title: str, reason: str) -> None:
        """Tells that one came to nothing, and why."""
        self.study.fail(trial, reason)
        self.tell(f"{title}: failed: {reason}")

    def tell(self, line: str) -> None:
        """Says what has become of a trial, which whoever watches the search can read by then."""
        write_record(self.search, self.study)
        self.reporter.say(line)

    def _close(self, one: Open, how: str, value: float) -> None:
        self.study.complete(one.trial, value)
        best = self.study.best()
        said = f"{self.search.monitor} {value:.4f} ({how})"
        if best and best.number != one.trial.number:
            said += f"; trial {best.number} has {best.value:.4f}"
        self.tell(f"{one.cell.title}: {said}")
