"""What a longer run begins with that goes on with a finished one: a checkpoint of its own."""

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig
from torch.optim.lr_scheduler import ReduceLROnPlateau

from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs import checkpoint as files
from reslab.runs.extension import find_shorter, follow_the_length
from reslab.runs.identity import identity
from reslab.runs.record import NOT_REPEATED, Extension
from reslab.runs.store import RunDirectory
from reslab.task import ImageClassifier


@dataclass(frozen=True)
class Source:
    """A finished run and the whole state that it ended with."""

    directory: RunDirectory
    state: dict[str, Any]

    @property
    def about(self) -> dict[str, Any]:
        """What the state says of its run."""
        return self.state["reslab"]

    @property
    def rows(self) -> list[dict[str, float]]:
        """Its history."""
        return self.state["callbacks"]["History"]["rows"]

    def stopped_early(self, monitor: str) -> bool:
        """Whether early stopping has ended it, or would have at just that epoch."""
        return any(
            state["wait_count"] >= state["patience"]
            or not all(math.isfinite(row[monitor]) for row in self.rows[-1:])
            for key, state in self.state["callbacks"].items()
            if key.startswith("EarlyStop")
        )

    def continued(
        self, cfg: DictConfig, task: ImageClassifier, about: dict[str, Any], reporter: Reporter
    ) -> dict[str, Any]:
        """The longer run's checkpoint where this one ended.

        All is as it was, so that nothing tells it from one run, but what follows from the length:
        a schedule is the longer run's, taken where this one ended.

        Args:
            cfg: The longer run's configuration.
            task: What it trains.
            about: What its checkpoints say of it, to which is added what it extends.
            reporter: Told from where it goes on, and whether it is as one run.
        """
        follow = follow_the_length(cfg)
        reason = "" if about["exact"] else NOT_REPEATED
        if follow:
            reason = f"{', '.join(follow)} follow{'s' * (len(follow) == 1)} from the length"
            about["exact"] = False
        epoch, step = len(self.rows), self.state["global_step"]
        extension = Extension(
            self.directory.name, self.about["identity"], epoch, step, not reason, reason
        )
        about["extends"] = asdict(extension)
        state = self.state | {"reslab": about}
        reporter.say(str(extension))
        if any(key.startswith("optimizer.") for key in follow):
            state |= self._rescheduled(task)
            rate = state["optimizer_states"][0]["param_groups"][0]["lr"]
            reporter.say(
                f"the learning rate goes on at {rate:.4g}, as it would at this point of a run of "
                f"the new length"
            )
        return state

    def _rescheduled(self, task: ImageClassifier) -> dict[str, Any]:
        """The optimizer's state and the schedule's, with rates as in a run of the task's length."""
        optimizer, schedule = task.optimization.build(task.network, task.monitor)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that nothing is updated between a schedule's steps
            if isinstance(schedule, ReduceLROnPlateau):
                for row in self.rows:
                    schedule.step(row[task.monitor])
            elif schedule is not None:
                by_step = task.optimization.interval == "step"
                for _ in range(self.state["global_step"] if by_step else len(self.rows)):
                    schedule.step()
        (theirs,) = self.state["optimizer_states"]
        groups = [
            ours | {"params": group["params"]}
            for ours, group in zip(
                optimizer.state_dict()["param_groups"], theirs["param_groups"], strict=True
            )
        ]
        return {
            "optimizer_states": [theirs | {"param_groups": groups}],
            "lr_schedulers": [schedule.state_dict()] if schedule else [],
        }


def read_source(cfg: DictConfig, asked: str) -> Source:
    """The finished run that a configuration asks to go on from, with its state.

    Args:
        cfg: The configuration.
        asked: What it said of `extend_from`.

    Raises:
        UserError: There is no such run, its state was not kept or is damaged, or it stopped early.
    """
    directory = find_shorter(cfg, asked)
    asks, name = f"extend_from={asked}", directory.name
    if not directory.state_kept.exists():
        raise UserError(
            f"{asks}: {name} kept its weights alone, not its optimizer's state, schedule and "
            f"random generators: its command with keep_state=true rerun=true keeps them, or "
            f"init_from={name} starts anew from its best weights"
        )
    source = Source(directory, files.load(directory.state_kept))
    if source.about["identity"] != identity(directory.config()):
        raise UserError(f"{asks}: {directory.state_kept} is another run's")
    if source.stopped_early(cfg.monitor):
        raise UserError(
            f"{asks}: {name} stopped early in epoch {len(source.rows)}, by "
            f"patience={cfg.patience}, and so would a longer run; patience=null is another run"
        )
    return source
