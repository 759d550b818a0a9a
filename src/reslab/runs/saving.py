"""When checkpoints are saved and what they carry."""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint

from reslab.callbacks import StopRequest
from reslab.runs import checkpoint as files

EPOCH_END_SECONDS = 5.0


class SaveCheckpoints(Checkpoint):
    """Saves the latest state at epochs' ends and from time to time within, and the best.

    At an epoch's end only if the last save is some seconds ago: with epochs shorter than that,
    saving would cost more than training again what is lost.

    Lightning calls `Checkpoint` callbacks last, so that what is saved is the epoch's final state.
    Nothing is saved after an epoch's last batch before its validation: a resume would skip that.

    Args:
        latest: Where the latest checkpoint goes.
        best: Where the best weights go.
        monitor: Metric of the epoch that decides which is best, by a strict improvement.
        every_seconds: Seconds between saves within an epoch; 0 saves at every step.
        about: Plain values that say what run this is; they go into every checkpoint.
        stop: Asked after every save.
    """

    def __init__(
        self,
        latest: files.LatestCheckpoint,
        best: Path,
        monitor: str,
        every_seconds: float,
        about: dict[str, Any],
        stop: StopRequest,
    ) -> None:
        self.latest, self.best, self.monitor = latest, best, monitor
        self.every_seconds, self.about, self.stop = every_seconds, about, stop
        self.best_epoch = 0
        self.best_value: float | None = None
        self._saved_at = time.monotonic()
        self._random_states: dict[str, Any] | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._saved_at = time.monotonic()
        if self._random_states is not None:
            restore_random_states(self._random_states)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == trainer.num_training_batches:
            return
        if self._is_due(self.every_seconds):
            self._save(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        value = pl_module.epoch_metrics[self.monitor]
        if self.best_value is None or is_better(self.monitor, value, self.best_value):
            self.best_value, self.best_epoch = value, trainer.current_epoch + 1
            weights = {k: v.cpu() for k, v in pl_module.network.state_dict().items()}
            files.save(
                {
                    "reslab": self.about | {"epoch": self.best_epoch, self.monitor: value},
                    "state_dict": weights,
                },
                self.best,
            )
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if last or self._is_due(EPOCH_END_SECONDS):
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Which epoch was best so far."""
        return {"best_epoch": self.best_epoch, "best_value": self.best_value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes that back."""
        self.best_epoch, self.best_value = state_dict["best_epoch"], state_dict["best_value"]

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["reslab"] = self.about
        checkpoint["random_states"] = random_states()

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        self._random_states = checkpoint["random_states"]

    def _is_due(self, seconds: float) -> bool:
        elapsed = time.monotonic() - self._saved_at
        return elapsed >= min(seconds, self.every_seconds) or self.stop.requested is not None

    def _save(self, trainer: Trainer) -> None:
        self.latest.keep_previous()
        trainer.save_checkpoint(self.latest.last)
        self._saved_at = time.monotonic()
        self.stop.raise_if_requested()


def is_better(monitor: str, value: float, than: float) -> bool:
    """Whether a metric improved: a loss by falling, an accuracy by rising."""
    return value < than if monitor.endswith("loss") else value > than


def random_states() -> dict[str, Any]:
    """The state of every global random generator, as tensors and plain values."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state(legacy=True)
    name, keys, position, has_gauss, cached = state
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Sets every global random generator back to what `random_states` saw."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
