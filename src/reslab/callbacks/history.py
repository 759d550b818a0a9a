"""The run's history: a row an epoch, part of every checkpoint."""

import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback

from reslab.files import write_atomically
from reslab.machine import others_cpu_seconds


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows as CSV, whole or not at all; without rows there is no file."""
    if rows:
        buffer = io.StringIO()
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = csv.DictWriter(buffer, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_atomically(path, buffer.getvalue().encode())
    else:
        path.unlink(missing_ok=True)


class History(Callback):
    """Keeps a row an epoch and writes all of them to a CSV file whenever there is a new one.

    The rows come back from the checkpoint, never from the file: a resume drops what a killed
    process had written beyond its last checkpoint, or written by half.

    Args:
        path: The CSV file. Columns: epoch (from 1), step, lr, train/loss, train/accuracy,
            val/loss, val/accuracy, train_seconds (without validation), seconds,
            others_cpu_seconds (what other processes computed meanwhile).
    """

    CLOCKS: ClassVar = {
        "seconds": time.perf_counter,
        "train_seconds": time.perf_counter,
        "others_cpu_seconds": others_cpu_seconds,
    }

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self._before = dict.fromkeys(self.CLOCKS, 0.0)
        self._since = dict(self._before)
        self._train_seconds = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all epochs so far, those of earlier processes included."""
        return sum(row["seconds"] for row in self.rows)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self._since = self._now()
        write_rows(self.path, self.rows)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._since["train_seconds"] = time.perf_counter()  # saving a checkpoint is not training

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if pl_module.device.type != "cpu":
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
                "others_cpu_seconds": self._elapsed("others_cpu_seconds"),
            }
        )
        self._since = self._now()
        self._before = dict.fromkeys(self._before, 0.0)
        write_rows(self.path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Rows, and the seconds spent in an epoch that is not over."""
        unfinished = {name: self._elapsed(name) for name in self._before}
        return {"rows": [dict(row) for row in self.rows], "before": unfinished}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes rows and seconds back from a checkpoint."""
        self.rows, self._before = state_dict["rows"], state_dict["before"]

    def _now(self) -> dict[str, float]:
        return {name: read() for name, read in self.CLOCKS.items()}

    def _elapsed(self, name: str) -> float:
        return self._before[name] + self.CLOCKS[name]() - self._since[name]
