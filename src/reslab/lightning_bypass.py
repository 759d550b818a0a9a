"""Where reslab goes past what Lightning promises, and on which behavior of which version it rests.

All such places are here, and `tests/test_lightning_bypass.py` fails where Lightning has changed.
"""

import signal
from collections.abc import Iterable
from inspect import signature
from typing import Any, ClassVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from reslab.monitor import better_is


class QuickModule(LightningModule):
    """A module of which Lightning asks, at every step, no more than it needs to know."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Keeps the signature of `training_step` where Python looks for it first.

        Lightning 2.6 asks `inspect` for it at every step, which would derive it anew.
        """
        super().__init_subclass__(**options)
        if "training_step" in cls.__dict__:
            cls.training_step.__dict__["__signature__"] = signature(cls.training_step)

    def _apply_batch_transfer_handler(
        self, batch: Any, device: torch.device | None = None, dataloader_idx: int = 0
    ) -> Any:
        """Leaves batches where they are, since ours are made on the device.

        Lightning 2.6 has its strategies move a batch by this method, which searches it: 60 us.
        """
        return batch

    def __setattr__(self, name: str, value: Any) -> None:
        """Takes a hook's name as a plain attribute: a module's own way is 20 times slower.

        Lightning 2.6 notes each hook that it calls in `_current_fx_name`, before and after.
        """
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


# What Lightning 2.6 calls once a step of manual optimization, beside `training_step`.
STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def drop_idle_hooks(task: LightningModule, callbacks: Iterable[Callback]) -> None:
    """Has the hooks of a step that do nothing passed over: 300 us a step, all in all.

    Lightning 2.6 looks each hook up on the object, and calls only what can be called.
    """
    for one, base in [(task, LightningModule), *((callback, Callback) for callback in callbacks)]:
        for hook in STEP_HOOKS:
            if getattr(type(one), hook) is getattr(base, hook):
                setattr(one, hook, None)


def is_of_an_epoch_s_end(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was saved behind an epoch's last batch, as Lightning 2.6 notes in it."""
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"]


class EarlyStop(EarlyStopping):
    """Stops after so many epochs in which the monitored metric did not get better.

    It stays stopped when a run is resumed after its last epoch: Lightning 2.6 restores
    `wait_count`, and asks for another epoch all the same.

    Args:
        monitor: The epoch's metric.
        patience: Epochs without an improvement.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(
            monitor,
            patience=patience,
            mode=better_is(monitor),
            check_on_train_epoch_end=False,
            check_finite=False,  # no number is no improvement, and no end either
        )

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


class KeepsSignals(Callback):
    """Puts the signal handlers back that stood before those of Lightning.

    Lightning 2.6 puts one of its own before ours for SIGTERM between `setup` and `on_train_start`,
    which ends training without a checkpoint.
    """

    SIGNALS: ClassVar = tuple(
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    )

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        self._handlers = {signum: signal.getsignal(signum) for signum in self.SIGNALS}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
