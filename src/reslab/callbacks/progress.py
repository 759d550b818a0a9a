"""The progress bar over a whole training run."""

import sys
import time
from typing import Any

import torch
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

SECONDS_BETWEEN_READS = 0.5
BAR_FORMAT = "{desc} |{bar:20}| {percentage:3.0f}% [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class _Reading:
    """The latest value of a number on a device, without making the device wait."""

    def __init__(self) -> None:
        self.value: float | None = None
        self._copied: Any = None
        self._buffer: Any = None

    def update(self, number: torch.Tensor) -> None:
        """Takes what has arrived of the last copy, and begins the next."""
        if number.device.type == "cpu":
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


class Progress(ProgressBar):
    """One line: epoch, images done, time left, images/s, loss, validation accuracy.

    The loss is read from the device only when the line is drawn again, and no step waits for it.

    Args:
        max_steps: The run's last step, if steps limit it.
    """

    def __init__(self, max_steps: int | None = None) -> None:
        super().__init__()
        self.max_steps = max_steps
        self._epochs = 0
        self._bar: Any = None
        self._read_at = 0.0
        self._shown = {"loss": "", "val": ""}
        self._loss = _Reading()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_start(trainer, pl_module)
        batch_size = trainer.datamodule.batch_size
        batches = trainer.num_training_batches
        limits = [self.max_steps] if self.max_steps else []
        if trainer.max_epochs > 0:
            limits.append(trainer.max_epochs * batches)
        steps = min(limits)
        self._epochs = -(-steps // batches)
        self._bar = tqdm(
            total=steps * batch_size,
            initial=trainer.global_step * batch_size,
            unit="img",
            unit_scale=True,
            mininterval=SECONDS_BETWEEN_READS if sys.stderr.isatty() else 30,
            dynamic_ncols=True,
            smoothing=0.05,
            bar_format=BAR_FORMAT,
        )

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._bar.set_description_str(
            f"epoch {trainer.current_epoch + 1}/{self._epochs}", refresh=False
        )

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if now - self._read_at > SECONDS_BETWEEN_READS:
            self._read_at = now
            self._loss.update(pl_module.last_loss)
            if self._loss.value is not None:
                self._show(loss=f"{self._loss.value:.3f}")
        self._bar.update(trainer.datamodule.batch_size)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self._bar is not None:
            self._show(val=f"{pl_module.epoch_metrics['val/accuracy']:.2%}")

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the line as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def disable(self) -> None:
        """Lightning asks all but the first process to be silent."""

    def _show(self, **values: str) -> None:
        self._shown |= values
        text = {"loss": self._shown["loss"], "val acc": self._shown["val"]}
        self._bar.set_postfix({k: v for k, v in text.items() if v}, refresh=False)
