"""The run directory as a contract: everything downstream reads a run through here."""

import io
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf

from reslab.errors import UserError
from reslab.files import remove_leftovers, write_atomically
from reslab.runs.checkpoint import LatestCheckpoint
from reslab.runs.record import Record, read_record, write_record


class RunDirectory:
    """The files of one run.

    `config.yaml` what was asked; `checkpoints/{best,last,previous}.ckpt`; `metrics.csv` a row an
    epoch; `gradients.csv` a row an epoch and layer; `metrics.json` the record, written when the
    run is finished; `predictions.npz` test logits and labels; `failure.txt` why the last attempt
    ended; TensorBoard's event files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.yaml"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.latest = LatestCheckpoint(self.checkpoints)
        self.metrics_file = path / "metrics.csv"
        self.gradients_file = path / "gradients.csv"
        self.record_file = path / "metrics.json"
        self.predictions_file = path / "predictions.npz"
        self.failure_file = path / "failure.txt"
        self.lock_file = path / "run.lock"

    @property
    def name(self) -> str:
        """The directory's name, `<data set>-<model>-...-<identity>`."""
        return self.path.name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory for one process; the lock goes when the process does.

        Raises:
            UserError: Another process holds it, or it cannot be written.
        """
        lock = FileLock(self.lock_file, timeout=1)  # `state` holds it for a moment
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            (self.path / ".writable").touch()
            (self.path / ".writable").unlink()
        except Timeout as error:
            raise UserError(f"{self.path} is in use by another process; wait or stop it") from error
        except OSError as error:
            lock.release()
            raise UserError(f"cannot write in {self.path}: {error.strerror}") from error
        try:
            remove_leftovers(self.path)
            remove_leftovers(self.checkpoints)
            yield
        finally:
            lock.release()

    def clear(self) -> None:
        """Deletes what the run has saved, all but the lock; first what says that it is finished."""
        self.record_file.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self.lock_file:
                path.unlink()
        self.checkpoints.mkdir()

    def config(self) -> DictConfig:
        """The run's resolved configuration."""
        cfg = OmegaConf.load(self.config_file)
        assert isinstance(cfg, DictConfig)
        return cfg

    def write_config(self, cfg: DictConfig) -> None:
        """Writes the configuration with its interpolations resolved, once."""
        if not self.config_file.exists():
            write_atomically(self.config_file, OmegaConf.to_yaml(cfg, resolve=True).encode())

    def record(self) -> Record | None:
        """The finished run's record, None before."""
        return read_record(self.record_file)

    def write_record(self, record: Record) -> None:
        """Writes the record: from now on the run is finished."""
        write_record(record, self.record_file)

    def write_predictions(
        self, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
    ) -> None:
        """Keeps test logits fp16 `[N, K]`, labels `[N]` and names `[K]`."""
        buffer = io.BytesIO()
        names = np.array(class_names)
        np.savez_compressed(buffer, logits=logits, labels=labels, class_names=names)
        write_atomically(self.predictions_file, buffer.getvalue())

    def predictions(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Test logits fp16 `[N, K]` of the best epoch, labels `[N]` and the classes' names."""
        try:
            with np.load(self.predictions_file) as content:
                names = tuple(content["class_names"].tolist())
                return content["logits"], content["labels"], names
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{self.predictions_file} is missing, damaged or of an older version; rerun=true "
                f"makes it anew"
            ) from error

    def state(self) -> str:
        """`finished`, `running`, `failed` or `interrupted`."""
        if self.record_file.exists():
            return "finished"
        if self._is_held():
            return "running"
        return "failed" if self.failure_file.exists() else "interrupted"

    def _is_held(self) -> bool:
        if not os.access(self.path, os.W_OK):
            return False
        try:
            with FileLock(self.lock_file, blocking=False):
                return False
        except Timeout:
            return True


def list_runs(folder: Path) -> list[RunDirectory]:
    """The runs below a folder, oldest first; what has no `config.yaml` is not one."""
    files = sorted(folder.glob("*/config.yaml"), key=lambda path: path.stat().st_mtime)
    return [RunDirectory(file.parent) for file in files]


def find_run(run: str, folder: Path) -> RunDirectory:
    """A run by its directory, its name below `folder`, or a unique part of its name.

    Raises:
        UserError: There is none, or more than one.
    """
    for path in (Path(run), folder / run):
        if (path / "config.yaml").is_file():
            return RunDirectory(path if path.name not in ("", "..") else path.resolve())
    found = [directory for directory in list_runs(folder) if run in directory.name]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"no run is called {run} under {folder}; `reslab runs` lists them")
    names = ", ".join(directory.name for directory in found)
    raise UserError(f"{run} may mean {names}: say more of the name")
