"""When checkpoints are saved and what they carry."""

import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from reslab import ranks
from reslab.callbacks import StopRequest
from reslab.finite import NotFiniteError
from reslab.runs import checkpoint as files
from reslab.runs.best import is_better

EPOCH_END_SECONDS = 15.0
CHOICES = ("val/loss", "val/accuracy")  # what papers choose an epoch by


class SaveCheckpoints(Checkpoint):
    """Saves the latest state at epochs' ends and from time to time within, and the best.

    At an epoch's end only if the last save is some seconds ago: with epochs shorter than that,
    saving would cost more than training again what is lost. The best weights are part of the
    latest state, so that the file with the best can never be of another history.

    Lightning calls `Checkpoint` callbacks last, so that what is saved is the epoch's final state.
    Nothing is saved after an epoch's last batch, or the one at which training is to stop, before
    its validation: a resume would skip that.

    Args:
        latest: Where the latest checkpoint goes.
        best: Where the best weights go.
        monitor: Metric of the epoch that decides which is best, by a strict improvement, of those
            whose validation loss is finite. By the other one of `CHOICES` an epoch is kept too, for
            what its choice would have come to.
        every_seconds: Seconds between saves within an epoch; 0 saves at every step.
        about: Plain values that say what run this is; they go into every checkpoint.
        stop: Asked after every save.
        state: Where the state goes in which steps end training inside an epoch, before the
            validation that this one has and a longer run has not; None: nowhere.
    """

    def __init__(
        self,
        latest: files.LatestCheckpoint,
        best: Path,
        monitor: str,
        every_seconds: float,
        about: dict[str, Any],
        stop: StopRequest,
        state: Path | None = None,
    ) -> None:
        self.latest, self.best, self.monitor = latest, best, monitor
        self.every_seconds, self.about, self.stop = every_seconds, about, stop
        self.state = state
        nothing: dict[str, Any] = {"epoch": 0, "value": None, "weights": {}}
        self._best = nothing
        self._by_others = dict.fromkeys([name for name in CHOICES if name != monitor], nothing)
        self._best_is_written = True
        self._saved_at = time.monotonic()
        self._random_states: dict[str, Any] | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._saved_at = time.monotonic()
        self._write_best()
        if self._random_states is not None:
            restore_random_states(self._random_states)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == trainer.num_training_batches:
            return
        if trainer.should_stop:
            if self.state is not None:
                pl_module.finite.raise_if_found()
                trainer.save_checkpoint(self.state)
            return
        if self._is_due(self.every_seconds):
            self._save(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        values, weights = pl_module.epoch_metrics, None
        has_answers = math.isfinite(values["val/loss"])  # else accuracies are of no answers
        for name, best in {self.monitor: self._best, **self._by_others}.items():
            if not has_answers or not is_better(values[name], best["value"], name):
                continue
            if weights is None:  # one copy for all
                state = pl_module.evaluated.state_dict()
                weights = {key: tensor.to("cpu", copy=True) for key, tensor in state.items()}
            new = {"epoch": trainer.current_epoch + 1, "value": values[name], "weights": weights}
            if name == self.monitor:
                self._best, self._best_is_written = new, False
            else:
                self._by_others[name] = new
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if self._is_due(EPOCH_END_SECONDS) or last:
            self._save(trainer)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if not self.best_epoch:
            raise NotFiniteError("val/loss was not finite after any epoch")

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, that was best so far."""
        return self._best["epoch"]

    def choices(self) -> dict[str, dict[str, Any]]:
        """By each metric that has chosen an epoch: which one, its metric and its weights."""
        by_all = {self.monitor: self._best, **self._by_others}
        return {name: choice for name, choice in by_all.items() if choice["epoch"]}

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far, its metric and its weights; and by other metrics."""
        return self._best | {"by_others": self._by_others}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back; the file with the best is written anew when training starts.

        What an older version saved is silent about other metrics, and so is then the record.
        """
        self._best = {key: value for key, value in state_dict.items() if key != "by_others"}
        self._by_others = state_dict.get("by_others", {})
        self._best_is_written = False

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["reslab"] = self.about
        checkpoint["random_states"], *others = ranks.gathered(random_states())
        if others:
            checkpoint["random_states_of_others"] = others

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        states = [checkpoint["random_states"], *checkpoint.get("random_states_of_others", [])]
        if ranks.rank() < len(states):
            self._random_states = states[ranks.rank()]

    def _is_due(self, seconds: float) -> bool:
        elapsed = time.monotonic() - self._saved_at
        return self.stop.is_requested(or_due=elapsed >= min(seconds, self.every_seconds))

    def _save(self, trainer: Any) -> None:
        trainer.lightning_module.finite.raise_if_found()
        if ranks.is_first():
            self.latest.keep_previous()
        trainer.save_checkpoint(self.latest.last)
        self._write_best()
        self._saved_at = time.monotonic()
        self.stop.raise_if_requested()

    def _write_best(self) -> None:
        if not self._best_is_written and ranks.is_first():
            about = self.about | {"epoch": self._best["epoch"], self.monitor: self._best["value"]}
            files.save({"reslab": about, "state_dict": self._best["weights"]}, self.best)
            self._best_is_written = True


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


class VerifiedCheckpointIO(CheckpointIO):
    """Gives Lightning's checkpoints the properties of `runs.checkpoint`; one process writes."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes the file atomically, with its digest."""
        if ranks.is_first():
            files.save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads and verifies the file."""
        return files.load(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Deletes the file."""
        Path(path).unlink(missing_ok=True)
