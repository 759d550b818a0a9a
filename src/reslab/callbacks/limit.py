"""Ends training after a number of steps, for recipes that do not count epochs."""

from typing import Any

from lightning.pytorch import Callback


class StepLimit(Callback):
    """Stops at a step, in the middle of an epoch if need be, with a validation of what was reached.

    Lightning's own `max_steps` ends without that validation, and so without a best checkpoint.

    Args:
        max_steps: The last step.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._stop_if_reached(trainer)

    def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
        self._stop_if_reached(trainer)

    def _stop_if_reached(self, trainer: Any) -> None:
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True
