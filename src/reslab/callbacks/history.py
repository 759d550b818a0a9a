"""The run's history: a row an epoch, part of every checkpoint."""

import io
import time
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback

from reslab.files import write_atomically


class History(Callback):
    """Keeps a row an epoch and writes all of them to a CSV file whenever there is a new one.

    The rows come back from the checkpoint, never from the file: a resume drops what a killed
    process had written beyond its last checkpoint, or written by half.

    Args:
        path: The CSV file. Columns: epoch (from 1), step, lr, train/loss, train/accuracy,
            val/loss, val/accuracy, train_seconds (without validation), seconds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._before = {"seconds": 0.0, "train_seconds": 0.0}
        self._since = dict(self._before)
        self._train_seconds = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all epochs so far, those of earlier processes included."""
        return sum(row["seconds"] for row in self.rows)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._since = dict.fromkeys(self._since, time.perf_counter())
        self._write()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._since["train_seconds"] = time.perf_counter()  # saving a checkpoint is not training

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.device.type == "cuda":
            pl_module.last_loss.item()  # waits for the epoch's work, so that its time is true
        self._train_seconds = self._elapsed("train_seconds")

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "step": trainer.global_step,
                **pl_module.epoch_metrics,
                "train_seconds": self._train_seconds,
                "seconds": self._elapsed("seconds"),
            }
        )
        self._since = dict.fromkeys(self._since, time.perf_counter())
        self._before = dict.fromkeys(self._before, 0.0)
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """Rows, and the seconds spent in an epoch that is not over."""
        unfinished = {name: self._elapsed(name) for name in self._before}
        return {"rows": [dict(row) for row in self.rows], "before": unfinished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes rows and seconds back from a checkpoint."""
        self.rows, self._before = state_dict["rows"], state_dict["before"]

    def _elapsed(self, name: str) -> float:
        return self._before[name] + time.perf_counter() - self._since[name]

    def _write(self) -> None:
        if self.rows:
            buffer = io.StringIO()
            pd.DataFrame(self.rows).to_csv(buffer, index=False)
            write_atomically(self.path, buffer.getvalue().encode())
        else:
            self.path.unlink(missing_ok=True)
