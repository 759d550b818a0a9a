"""How far training is: as a bar, and in a file for whoever asks."""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from tqdm import tqdm

from reslab.progress import Progress

SECONDS_BETWEEN_READS = 0.5
SECONDS_BETWEEN_WRITES = 1.0
MOST_LOSSES = 200  # of an epoch that are kept for whoever asks
BAR_FORMAT = "{desc} |{bar:20}| {percentage:3.0f}% [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class _Reading:
    """The latest value of a number on a device, without making a GPU wait."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._copied: Any = None
        self._buffer: Any = None

    def update(self, number: torch.Tensor) -> None:
        """Takes what has arrived of the last copy, and begins the next."""
        if number.device.type != "cuda":
            self.value = number.item()
            return
        if self._copied is None:
            self._buffer = torch.empty((), pin_memory=True)
            self._copied = torch.cuda.Event()
        elif self._copied.query():
            self.value = self._buffer.item()
        else:
            return
        self._buffer.copy_(number, non_blocking=True)
        self._copied.record()


class ShowProgress(Callback):
    """One line: epoch, images done, time left, images/s, loss, validation accuracy; and a file.

    The loss is read from the device only when the line is drawn again, and no step waits for it.

    Args:
        path: Where `reslab.progress.Progress` goes, at most once a second.
        bar: Whether the line is shown.
        max_steps: The run's last step, if steps limit it.
    """

    def __init__(self, path: Path, *, bar: bool = True, max_steps: int | None = None) -> None:
        self.path, self.bar, self.max_steps = path, bar, max_steps
        self._steps = self._epochs = 0
        self._line: Any = None
        self._read_at = 0.0
        self._written_at = 0.0
        self._step_then: int | None = None
        self._steps_per_second: float | None = None
        self._shown = {"loss": "", "val": ""}
        self._losses: list[tuple[int, float]] = []
        self._readings, self._stride = 0, 1
        self._loss = _Reading()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        batch_size = trainer.datamodule.batch_size
        batches = trainer.num_training_batches
        limits = [self.max_steps] if self.max_steps else []
        if trainer.max_epochs > 0:
            limits.append(trainer.max_epochs * batches)
        self._steps = min(limits)
        self._epochs = -(-self._steps // batches)
        self._step_then = None  # from the first step on, which takes longer than others
        if self.bar:
            self._line = tqdm(
                total=self._steps * batch_size,
                initial=trainer.global_step * batch_size,
                unit="img",
                unit_scale=True,
                mininterval=SECONDS_BETWEEN_READS if sys.stderr.isatty() else 30,
                dynamic_ncols=True,
                smoothing=0.05,
                bar_format=BAR_FORMAT,
            )

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._losses.clear()
        self._readings, self._stride = 0, 1
        if self._line is not None:
            text = f"epoch {trainer.current_epoch + 1}/{self._epochs}"
            self._line.set_description_str(text, refresh=False)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if now - self._read_at > SECONDS_BETWEEN_READS:
            self._read_at = now
            self._loss.update(pl_module.last_loss)
            if self._loss.value is not None:
                self._show(loss=f"{self._loss.value:.3f}")
                self._keep(batch_idx + 1, self._loss.value)
            if now - self._written_at > SECONDS_BETWEEN_WRITES:
                self._write(trainer, batch_idx + 1, now)
        if self._line is not None:
            self._line.update(trainer.datamodule.batch_size)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._show(val=f"{pl_module.epoch_metrics['val/accuracy']:.2%}")
        now = time.perf_counter()
        if now - self._written_at > SECONDS_BETWEEN_WRITES:
            self._write(trainer, trainer.num_training_batches, now)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the line as it stands."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _show(self, **values: str) -> None:
        self._shown |= values
        if self._line is not None:
            text = {"loss": self._shown["loss"], "val acc": self._shown["val"]}
            self._line.set_postfix({k: v for k, v in text.items() if v}, refresh=False)

    def _keep(self, step: int, loss: float) -> None:
        """Keeps a loss, of too many every other, so that they span the epoch evenly."""
        if self._readings % self._stride == 0:
            self._losses.append((step, loss))
            if len(self._losses) > MOST_LOSSES:
                del self._losses[1::2]
                self._stride *= 2
        self._readings += 1

    def _write(self, trainer: Any, step: int, now: float) -> None:
        done, rate = trainer.global_step, self._steps_per_second
        if self._step_then is not None:
            lately = (done - self._step_then) / (now - self._written_at)
            rate = lately if rate is None else 0.7 * rate + 0.3 * lately
        self._steps_per_second = rate
        self._written_at, self._step_then = now, done
        Progress(
            epoch=trainer.current_epoch + 1,
            epochs=self._epochs,
            step=step,
            steps_per_epoch=trainer.num_training_batches,
            done=min(1.0, done / self._steps),
            loss=self._loss.value,
            lr=float(trainer.optimizers[0].param_groups[0]["lr"]),
            images_per_second=rate and rate * trainer.datamodule.batch_size,
            seconds_left=max(0, self._steps - done) / rate if rate else None,
            losses=tuple(self._losses),
        ).write(self.path)
