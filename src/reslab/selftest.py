"""Whether a killed run goes on to the same bits, proved on this machine by killing one."""

import contextlib
import random
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from reslab.config import compose, own_folders, parse_overrides
from reslab.errors import UserError
from reslab.jobs.account import Ended
from reslab.jobs.cell import Cell
from reslab.jobs.pool import Job
from reslab.jobs.slots import Slot
from reslab.progress import in_words
from reslab.reporter import SILENT, Reporter
from reslab.runs.bits import differences, rows_without_times
from reslab.runs.check import check
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory

# What is proved of where nothing is said: in seconds, with random numbers of each kind.
SMALL = ("model=baseline_cnn", "model.dropout=0.2", "augment=crop_flip")
FIRST = ("trainer=exact", "trainer.max_epochs=3", "logger=none")
# A checkpoint at every step, so that one can be drawn; and all that the run ends with is kept.
LAST = ("checkpoint_every=0", "keep_state=true", "test=true", "rerun=false", "resume=auto")
MUST_GO_ON = "resume=must"
MOST_DRAWS = 3
SECONDS_BETWEEN_LOOKS = 0.002


@dataclass(frozen=True)
class Proof:
    """What became of a run that was killed, beside one that was not.

    Attributes:
        record: Of the run that was killed: where and how it computed.
        trainer: The trainer's option.
        draw: What gives the same draw again.
        step: The last step that was saved before the kill.
        steps: How many the run has.
        differences: What is not the same to the bit, the earliest first; empty where all is.
    """

    record: Record
    trainer: str
    draw: int
    step: int
    steps: int
    differences: tuple[str, ...]


def prove(overrides: Sequence[str], draw: int, reporter: Reporter = SILENT) -> Proof:
    """Trains a run twice by the real command, once with a kill inside, and compares both.

    All of it is in a temporary folder, which is gone afterwards, as are the processes.

    Args:
        overrides: What the run is to be, beside or in place of `FIRST`.
        draw: The seed of the step that the kill comes at.
        reporter: Told of what goes on.

    Raises:
        UserError: The configuration is refused, a run fails, or it ends before it can be killed.
    """
    chosen = {key: values[-1] for key, _, values in parse_overrides(overrides)}
    small = () if chosen.keys() & {"model", "recipe", "ablation"} else SMALL
    asked = (*small, *FIRST, *overrides, *LAST)
    check(compose(asked))
    draws = random.Random(draw)
    with tempfile.TemporaryDirectory(prefix="reslab-selftest-") as name:
        folder = Path(name)
        whole = _cell(folder, "whole", asked)
        began = time.monotonic()
        with _started(whole, reporter) as job:
            _finished(job)
        steps = int(rows_without_times(whole.directory)[-1]["step"])
        seconds = time.monotonic() - began
        reporter.say(f"1 of 3: trained undisturbed, {steps} steps, in {in_words(seconds)}")
        if steps < 2:
            raise UserError("the run has one step, inside which none can be killed: ask for more")
        for attempt in range(MOST_DRAWS):
            cell = _cell(folder, f"killed-{attempt}", asked)
            if step := _killed(cell, draws.randrange(1, steps), steps, reporter):
                break
            reporter.warn("the run was at its end before it was killed: another step is drawn")
        else:
            raise UserError(
                f"the run was at its end before it was killed, {MOST_DRAWS} times: give it more "
                f"steps, as by trainer.max_epochs=10"
            )
        reporter.say(f"2 of 3: killed (SIGKILL) with step {step} of {steps} saved")
        goes_on = _cell(folder, cell.directory.name, (*asked, MUST_GO_ON))
        began = time.monotonic()
        with _started(goes_on, reporter) as job:
            _finished(job)
        seconds = time.monotonic() - began
        reporter.say(f"3 of 3: gone on with by the same command, in {in_words(seconds)}")
        record = cell.directory.record()
        assert record is not None
        found = tuple(differences(cell.directory, whole.directory))
    return Proof(record, str(chosen.get("trainer", "exact")), draw, step, steps, found)


def _cell(folder: Path, name: str, asked: Sequence[str]) -> Cell:
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    return Cell(
        overrides=tuple(asked),
        directory=RunDirectory(folder / name),
        title=name,
        config_dirs=tuple(own_folders()),
        variables={"TMPDIR": str(temporary)},
    )


@contextmanager
def _started(cell: Cell, reporter: Reporter) -> Iterator[Job]:
    """A cell under way, which is killed and waited for on the way out if it has not ended."""
    job = Job(cell, Slot("this machine"), outlives=False)
    try:
        with reporter.watching(lambda: ([cell.directory.path], "")):
            yield job
    finally:
        _kill(job)


def _kill(job: Job) -> Ended:
    """Kills a job at once, with all that it has started, and waits until they are gone."""
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(job.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
    job.send(signal.SIGKILL)
    while (end := job.look()) is None or job.cell.directory.is_running():
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return end


def _finished(job: Job) -> None:
    while (end := job.look()) is None:
        time.sleep(0.05)
    if end.state != "finished":
        raise UserError(_why(end))


def _killed(cell: Cell, step: int, steps: int, reporter: Reporter) -> int | None:
    """Kills a run as soon as it has saved a step, and gives the last one that it did save.

    Returns:
        None if it came too late: what goes on from a run's last step proves nothing.
    """
    saves: set[tuple[int, int]] = set()
    with _started(cell, reporter) as job:
        while len(saves) < step:
            if (end := job.look()) is not None:
                if end.state == "finished":
                    return None
                raise UserError(_why(end))
            with contextlib.suppress(FileNotFoundError):
                file = cell.directory.latest.last.stat()
                saves.add((file.st_ino, file.st_mtime_ns))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        end = _kill(job)
    if end.state == "finished" or cell.directory.record_file.exists():
        return None
    found = cell.directory.latest.load()
    assert found is not None  # it was seen above
    saved = found[1]["global_step"]
    return saved if saved < steps else None


def _why(end: Ended) -> str:
    return f"a run of the selftest has not come to its end: {end.reason}"
