"""Submitting runs to a cluster, and concluding what has left its queue, one command at a time."""

import contextlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from filelock import Timeout

from reslab import locks
from reslab.errors import UserError
from reslab.jobs import slurm
from reslab.jobs.cell import Cell, last_line, output_of
from reslab.jobs.queued import Queued, in_the_way, is_finished, is_spoilt
from reslab.jobs.slurm import Cluster, Task
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_script import chunks, script
from reslab.runs.store import InUseError, RunDirectory

FOLDER = ".slurm"  # beside the runs: what they print until they have ended, and a lock
SECONDS_FOR_THE_LOCK = 120.0
SECONDS_TO_SETTLE = 5.0  # else what is written down is not looked into this time
LOST = "its job is no longer in the queue"


@contextlib.contextmanager
def locked(folder: Path, seconds: float = SECONDS_FOR_THE_LOCK) -> Iterator[None]:
    """Holds what is written down of the runs in a folder: one submits at a time.

    Raises:
        UserError: Another one has done so for that many seconds, or what is to be written there,
            or struck out, cannot be.
    """
    file = folder / FOLDER / "lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locks.held(file, timeout=seconds):
            yield
    except Timeout as error:
        raise UserError(f"another command submits runs of {folder}: try again later") from error
    except OSError as error:
        raise UserError(f"cannot write {error.filename or file}: {error.strerror}") from error


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
                # With a limit one array after another, else each would have that of its own.
                after = job if options.array_parallelism else None
                job = _submit_array(part, options, cluster, folder, after)
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

    Jobs of other users and of other clusters are left to these. What is spoilt is struck out in any
    case, for it blocks its run and says of no job.
    """
    written = [run for run in runs if run.job_file.exists()]
    if not written:
        return
    with contextlib.suppress(UserError, OSError):  # as on a machine beside the cluster
        _each_folder(_strike_out_spoilt, [run for run in written if is_spoilt(run)])
        cluster = Cluster.here()
        _each_folder(lambda there: _settle(there, cluster), written)


def leave_to_its_job(run: RunDirectory) -> None:
    """Has a run not be begun here that a cluster is to run, unless this is its job.

    Raises:
        InUseError: It is.
    """
    if in_the_way(run):
        settle([run])
        if line := in_the_way(run):
            raise InUseError(f"{run.path} is {line}")


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
    output, kept = Path(queued.output), output_of(run)
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


def _each_folder(
    act: Callable[[Sequence[RunDirectory]], None], runs: Sequence[RunDirectory]
) -> None:
    for folder, there in groupby(runs, lambda run: run.path.parent):
        with locked(folder, SECONDS_TO_SETTLE):
            act(list(there))


def _strike_out_spoilt(runs: Sequence[RunDirectory]) -> None:
    """Removes what is spoilt; the lock is held.

    Should there be a job that it was about, the run's own lock keeps the next one off it.
    """
    for run in filter(is_spoilt, runs):
        run.job_file.unlink()


def _settle(runs: Sequence[RunDirectory], cluster: Cluster, lost: str = LOST) -> None:
    """Concludes what has ended; the lock is held."""
    _strike_out_spoilt(runs)
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
