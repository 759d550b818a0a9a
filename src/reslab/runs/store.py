"""The run directory as a contract: everything downstream reads a run through here."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from filelock import Timeout
from omegaconf import DictConfig, OmegaConf

from reslab import locks
from reslab.errors import UserError
from reslab.files import remove_leftovers, write_atomically
from reslab.progress import Progress
from reslab.runs.checkpoint import LatestCheckpoint
from reslab.runs.record import WAY_OUT, Record, read_record, write_record
from reslab.runs.request import Request

if TYPE_CHECKING:  # which looks at runs and lists of them do without
    import numpy as np

Content = TypeVar("Content")


class InUseError(UserError):
    """Another process runs what was asked for."""


class _File:
    """A path below a run's, made when it is asked for: lists of runs need few of them."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, run: "RunDirectory", kind: object = None) -> Path:
        return run.path.joinpath(*self._parts)


class RunDirectory:
    """The files of one run.

    `request.json` what was asked, where, and by which process it was begun; `config.yaml` what that
    is resolved; `progress.json` how far it is; `log.txt` what it printed;
    `checkpoints/{best,last,previous}.ckpt`, and `state.ckpt`, all of a finished run's last one if
    `keep_state` asks for it; `metrics.csv` a row an epoch; `gradients.csv` a row an epoch and
    layer; `metrics.json` the record, written when the run is finished; `predictions.npz` test
    logits and labels; `failure.txt` why the last attempt ended; `job.json` which job of a cluster
    is to run it, until that has ended; `untested.txt` that it was asked to end before its
    test; `analyses/` what `reslab analyze` found; TensorBoard's event files.
    """

    request_file = _File("request.json")
    config_file = _File("config.yaml")
    progress_file = _File("progress.json")
    log_file = _File("log.txt")
    checkpoints = _File("checkpoints")
    best = _File("checkpoints", "best.ckpt")
    state_kept = _File("checkpoints", "state.ckpt")
    metrics_file = _File("metrics.csv")
    gradients_file = _File("gradients.csv")
    record_file = _File("metrics.json")
    predictions_file = _File("predictions.npz")
    failure_file = _File("failure.txt")
    job_file = _File("job.json")
    untested_file = _File("untested.txt")
    analyses = _File("analyses")
    lock_file = _File("run.lock")

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def latest(self) -> LatestCheckpoint:
        """Where to go on."""
        return LatestCheckpoint(self.checkpoints)

    @property
    def name(self) -> str:
        """The directory's name, `<data set>-<model>-...-<identity>`."""
        return self.path.name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the directory for one process; the lock goes when the process does.

        Raises:
            InUseError: Another process holds it.
            UserError: It cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.checkpoints.mkdir(parents=True, exist_ok=True)
                # `is_held` holds it for a moment.
                stack.enter_context(locks.held(self.lock_file, timeout=1))
                (self.path / ".writable").touch()
                (self.path / ".writable").unlink()
            except Timeout as error:
                raise InUseError(
                    f"{self.path} is in use by another process; wait, or `reslab stop {self.name}`"
                ) from error
            except OSError as error:
                raise UserError(f"cannot write in {self.path}: {error.strerror}") from error
            remove_leftovers(self.path)
            remove_leftovers(self.checkpoints)
            yield

    def clear(self) -> None:
        """Deletes what the run has saved; first what says that it is finished.

        The lock stays, and what says of the process that holds it, or is to, what it was asked.
        """
        self.record_file.unlink(missing_ok=True)
        stays = [self.lock_file, locks.lease(self.lock_file), self.request_file, self.log_file]
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path not in (*stays, self.job_file):
                path.unlink()
        self.checkpoints.mkdir()

    def why(self) -> str:
        """What was said when it failed, empty if it did not or nobody knows."""
        try:
            with self.failure_file.open(errors="replace") as file:
                return file.readline().strip()
        except OSError:
            return ""

    def request(self) -> Request | None:
        """What was asked and by which process it was begun, None for a run of an older version."""
        return Request.read(self.request_file)

    def progress(self) -> Progress | None:
        """How far training is, None before its first second."""
        return Progress.read(self.progress_file)

    def config(self) -> DictConfig:
        """The run's resolved configuration.

        Raises:
            UserError: The file is missing, damaged or foreign.
        """
        return self._read_config(_resolved, DictConfig)

    def kept_config(self) -> dict[str, Any]:
        """Its plain values, in a tenth of the time.

        Raises:
            UserError: As `config`.
        """
        return self._read_config(_plain_values, dict)

    def _read_config(self, read: Callable[[Path], object], kind: type[Content]) -> Content:
        try:
            content = read(self.config_file)
        except Exception as error:  # whatever stands in a foreign or damaged file
            line = str(error).partition("\n")[0]
            raise UserError(f"{self.config_file} cannot be read ({line}); {WAY_OUT}") from error
        if not isinstance(content, kind):
            raise UserError(f"{self.config_file} is no run's configuration; {WAY_OUT}")
        return content

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

    def settle(self) -> None:
        """Leaves of a finished run what is to stay, whatever killed the process that finished it.

        Where that is done, or the run is not finished, it does nothing.
        """
        if self.record_file.exists():
            self.latest.settle()
            self.progress_file.unlink(missing_ok=True)

    def write_predictions(
        self, logits: "np.ndarray", labels: "np.ndarray", class_names: Sequence[str]
    ) -> None:
        """Keeps test logits fp16 `[N, K]`, labels `[N]` and names `[K]`."""
        from reslab.runs import predictions

        predictions.write(self.predictions_file, logits, labels, class_names)

    def predictions(self) -> "tuple[np.ndarray, np.ndarray, tuple[str, ...]]":
        """Test logits fp16 `[N, K]` of the best epoch, labels `[N]` and the classes' names.

        Raises:
            UserError: The file is missing, damaged or of an older version.
        """
        from reslab.runs import predictions

        return predictions.read(self.predictions_file)

    def state(self) -> str:
        """`finished`, `running`, `queued`, `failed`, `untested` or `interrupted`."""
        if self.record_file.exists():
            return "finished"
        if self.is_running():
            return "running"
        if self.job_file.exists():
            return "queued"
        if self.failure_file.exists():
            return "failed"
        return "untested" if self.untested_file.exists() else "interrupted"

    def is_running(self) -> bool:
        """Proven by the lock, which goes with its process; where it cannot be read, by that one."""
        held = locks.is_held(self.lock_file)
        if held is None:
            with contextlib.suppress(UserError):
                request = self.request()
                return (
                    request is not None
                    and request.is_alive
                    and locks.may_hold(request.pid, self.lock_file)
                )
        return bool(held)


def _resolved(path: Path) -> object:
    """As it was written: what refers to anything else is none of ours, and said here."""
    cfg = OmegaConf.load(path)
    OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    return cfg


def _plain_values(path: Path) -> object:
    with path.open("rb") as file:
        return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def list_runs(folder: Path) -> list[RunDirectory]:
    """The runs below a folder, oldest first; one that was refused has no `config.yaml`."""
    begun: dict[str, float] = {}
    try:
        places = sorted(os.listdir(folder))
    except OSError:  # not there, or no folder
        places = []
    for place in places:
        for name in ("config.yaml", "request.json"):
            with contextlib.suppress(OSError):  # it is not there, or deleted just now
                begun[place] = os.stat(f"{folder}/{place}/{name}").st_mtime
                break
    return [RunDirectory(folder / place) for place in sorted(begun, key=lambda name: begun[name])]


def find_run(run: str, folder: Path) -> RunDirectory:
    """A run by its directory, its name below `folder`, or a unique part of its name.

    Raises:
        UserError: There is none, or more than one.
    """
    for path in (Path(run), folder / run):
        if (path / "config.yaml").is_file() or (path / "request.json").is_file():
            return RunDirectory(path if path.name not in ("", "..") else path.resolve())
    found = [directory for directory in list_runs(folder) if run in directory.name]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"no run is called {run} under {folder}; `reslab runs` lists them")
    names = ", ".join(directory.name for directory in found)
    raise UserError(f"{run} may mean {names}: say more of the name")
