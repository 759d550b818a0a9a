"""What was submitted, written down in the runs' directories, so that whoever comes later knows.

A job is known by its name, which is chosen and written down before it is submitted: there is no
moment at which a submission could be lost, or be taken for another one's.
"""

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path

from filelock import Timeout

from reslab import locks
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.jobs import slurm
from reslab.jobs.cell import Cell, ends, last_line
from reslab.jobs.slurm import Cluster, Task
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_script import chunks, script
from reslab.runs.store import RunDirectory

FOLDER = ".slurm"  # beside the runs: what they print until they have ended, and a lock
SECONDS_FOR_THE_LOCK = 120.0
SECONDS_TO_SETTLE = 5.0  # else what is written down is not looked into this time
LOST = "its job is no longer in the queue"


@dataclass(frozen=True)
class Queued:
    """What is written down of a run that a cluster is to run.

    Attributes:
        cluster: The cluster's name.
        user: Who submitted it.
        name: The array's job name, which no other job has.
        index: The run's place in the array.
        output: All that it prints, and what SLURM has to say.
        tested: Whether it ends with the test and its record; else with its training.
    """

    cluster: str
    user: str
    name: str
    index: int
    output: str
    tested: bool = True

    @classmethod
    def read(cls, run: RunDirectory) -> "Queued | None":
        """What is written down in a run's directory, None for nothing, or nothing of use."""
        try:
            content = json.loads(run.job_file.read_text())
            return cls(
                **{one.name: content[one.name] for one in fields(cls) if one.name in content}
            )
        except (OSError, ValueError, TypeError):
            return None

    @property
    def key(self) -> tuple[str, int]:
        """What `slurm.look` knows it by."""
        return self.name, self.index

    def is_ours(self, cluster: Cluster) -> bool:
        """Whether it is this user's, and on that cluster."""
        return (self.cluster, self.user) == (cluster.name, slurm.user())

    def is_done(self, run: RunDirectory) -> bool:
        """Whether the run has come to the end that was asked for."""
        return any(file.exists() for file in ends(run, tested=self.tested))

    def write(self, run: RunDirectory) -> None:
        """Writes it down."""
        write_atomically(run.job_file, (json.dumps(asdict(self), indent=1) + "\n").encode())


@contextlib.contextmanager
def locked(folder: Path, seconds: float = SECONDS_FOR_THE_LOCK) -> Iterator[None]:
    """Holds what is written down of the runs in a folder: one submits at a time.

    Raises:
        UserError: Another one has done so for that many seconds, or nothing can be written there.
    """
    file = folder / FOLDER / "lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locks.held(file, timeout=seconds):
            yield
    except Timeout as error:
        raise UserError(f"another command submits runs of {folder}: try again later") from error
    except PermissionError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from error


def submit(
    cells: Sequence[Cell], options: SlurmOptions, cluster: Cluster
) -> Iterator[tuple[str, Sequence[Cell]]]:
    """Submits what no job is to run yet, and writes it down.

    Args:
        cells: The cells.
        options: What is asked of the cluster.
        cluster: The cluster.

    Yields:
        Of each array that was submitted the job's number and its cells.

    Raises:
        UserError: SLURM refuses one; what was submitted before stays so.
    """
    job = None
    for folder, there in groupby(cells, lambda cell: cell.directory.path.parent):
        with locked(folder):
            runs = list(there)
            _settle([cell.directory for cell in runs], cluster)
            new = [cell for cell in runs if not cell.directory.job_file.exists()]
            for part in chunks(
                [one for one in new if not one.directory.is_running()], cluster.most
            ):
                # One array after another, else each would have a limit of its own.
                job = _submit_array(part, options, cluster, folder, job)
                yield job, part


def scripts(cells: Sequence[Cell], options: SlurmOptions) -> list[str]:
    """What would be submitted, were none of it queued; a machine without a cluster says it too."""
    try:
        most = Cluster.here().most
    except UserError:
        most = slurm.USUAL_MOST
    return [
        script(part, options, _new_name(), folder.resolve() / FOLDER)
        for folder, there in groupby(cells, lambda cell: cell.directory.path.parent)
        for part in chunks(list(there), most)
    ]


def settle(runs: Iterable[RunDirectory]) -> None:
    """Strikes out what has left the queue, and has the runs say how, where a cluster can be asked.

    Jobs of other users and of other clusters are left to these.
    """
    written = [run for run in runs if run.job_file.exists()]
    if not written:
        return
    with contextlib.suppress(UserError, OSError):  # as on a machine beside the cluster
        cluster = Cluster.here()
        for folder, there in groupby(written, lambda run: run.path.parent):
            with locked(folder, SECONDS_TO_SETTLE):
                _settle(list(there), cluster)


def is_finished(run: RunDirectory, queued: Queued) -> bool:
    """Whether it was finished since it was submitted, which may have been to start it over.

    SLURM may call it out of time all the same, which was preempted and had some time left.
    """
    for file in ends(run, tested=queued.tested):
        with contextlib.suppress(OSError):  # one of them is not there
            if file.stat().st_mtime_ns >= run.job_file.stat().st_mtime_ns:
                return True
    return False


def conclude(run: RunDirectory, queued: Queued, task: Task | None, lost: str = LOST) -> str:
    """Strikes out a run whose job has ended, and keeps what it said, if it is not finished.

    The lock is held: another one may submit it again as soon as that is done.

    Args:
        run: The run.
        queued: What was written down.
        task: What SLURM knows of it, None where it knows nothing.
        lost: What is to be said then.

    Returns:
        Why it is not finished, one line; empty if it is.
    """
    output, kept = Path(queued.output), Cell((), run, "").output
    ended_well = task is None or task.state == "COMPLETED"
    if is_finished(run, queued) or (ended_well and queued.is_done(run)):
        for path in (output, kept):
            path.unlink(missing_ok=True)  # the run's own log has it
        reason = ""
    else:
        with contextlib.suppress(OSError):
            output.replace(kept)
        reason = _reason(task.end if task else lost, run.why() or last_line(kept))
        files = (run.config_file, run.record_file, run.failure_file, run.latest.last)
        if not any(file.exists() for file in files):
            with contextlib.suppress(OSError):  # the disk may be what failed
                run.failure_file.write_text(f"{reason}\n")
    if Queued.read(run) == queued:
        run.job_file.unlink()
    return reason


def _reason(how: str, said: str) -> str:
    if how and said:
        return f"{how}, its last line: {said}"
    return how or said or "it has ended and said nothing"


def _settle(runs: Sequence[RunDirectory], cluster: Cluster, lost: str = LOST) -> None:
    """Concludes what has ended; the lock is held."""
    ours = {run.path: one for run in runs if (one := Queued.read(run)) and one.is_ours(cluster)}
    tasks = slurm.look(one.key for one in ours.values())
    for path, one in ours.items():
        run, task = RunDirectory(path), tasks.get(one.key)
        if task is None or task.is_over or is_finished(run, one):
            conclude(run, one, task, lost)


def _submit_array(
    cells: Sequence[Cell], options: SlurmOptions, cluster: Cluster, folder: Path, after: str | None
) -> str:
    output = folder.resolve() / FOLDER
    name = _new_name()
    text = script(cells, options, name, output)
    for index, cell in enumerate(cells):
        run = cell.directory
        run.path.mkdir(parents=True, exist_ok=True)
        if not run.request_file.exists():
            cell.request().write(run.request_file)
        path = str(output / f"{name}_{index}.txt")
        Queued(cluster.name, slurm.user(), name, index, path, cell.tested).write(run)
    try:
        return slurm.submit(text, after)
    except UserError as error:  # it may be in the queue all the same, if no answer came
        with contextlib.suppress(UserError):
            _settle([cell.directory for cell in cells], cluster, lost=str(error))
        raise


def _new_name() -> str:
    return f"reslab-{secrets.token_hex(4)}"
