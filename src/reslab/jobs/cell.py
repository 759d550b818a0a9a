"""A cell: a run as a command, with its state in its directory."""

import contextlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from reslab.errors import UserError
from reslab.files import visible
from reslab.runs.control import train_command
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory

# A bar, as tqdm writes the time taken and left; and SLURM's line of what it has ended.
SAYS_NOTHING = re.compile(r"\[[\d:]+<[\d:?]+, .*\]|^slurmstepd\S*: ")


@dataclass(frozen=True)
class Cell:
    """One run among others that are to be done.

    Attributes:
        overrides: What to ask of Hydra.
        directory: Where the run lies. What became of the cell is what became of the run.
        title: What people know the cell by.
        config_dirs: The user's own folders with configurations.
        options: Overrides of Hydra's own besides.
        folder: Where the command is given.
        variables: Of the environment, before the slot's: a run that goes on keeps its threads.
        work: What it costs, in a unit that the cells share: the time left goes by it.
        tested: Whether it ends with the test and its record; else with its training.
    """

    overrides: tuple[str, ...]
    directory: RunDirectory
    title: str
    config_dirs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    folder: Path = Path()
    variables: dict[str, str] = field(default_factory=dict)
    work: float = 1.0
    tested: bool = True

    @property
    def command(self) -> list[str]:
        """The command line."""
        asked = (*self.overrides, *self.options)
        return train_command(asked, self.config_dirs, self.directory)

    @property
    def output(self) -> Path:
        """All that its process prints, kept until the run is finished."""
        return output_of(self.directory)

    @property
    def is_done(self) -> bool:
        """Whether its run has come to its end, which is before the test if that is not asked."""
        return bool(self.ends())

    def ends(self) -> dict[Path, int]:
        """The files that say so, with when each was written, in nanoseconds."""
        found = {}
        for file in ends(self.directory, tested=self.tested):
            with contextlib.suppress(OSError):  # it is not there
                found[file] = file.stat().st_mtime_ns
        return found

    def last_line(self) -> str:
        """The last that its process said, empty where that is nothing."""
        return last_line(self.output)

    def request(self) -> Request:
        """What is asked, for a directory in which no run has written that yet."""
        request = Request.here(self.overrides, None, self.config_dirs)
        return replace(request, command=tuple(self.command), folder=str(self.folder.resolve()))

    def record_failure(self, reason: str) -> None:
        """Has the directory say why there is no run in it, where nothing else is there.

        So a failure is seen that came before the run could write down its own, as that of a
        configuration which is refused, or of a process that is killed as it begins.
        """
        run = self.directory
        files = (run.request_file, run.config_file, run.record_file, run.latest.last)
        if any(file.exists() for file in files) or run.is_running():
            return
        with contextlib.suppress(OSError, UserError):  # the disk may be what failed
            run.path.mkdir(parents=True, exist_ok=True)
            self.request().write(run.request_file)
            run.failure_file.write_text(f"{reason}\n")


def output_of(run: RunDirectory) -> Path:
    """Where a run's process prints as a cell's, until the run is finished, which has its own log.

    It lies beside the directory, which may be another run's, and is emptied by a rerun.
    """
    return run.path.with_name(f".{run.name}.txt")


def ends(run: RunDirectory, *, tested: bool) -> list[Path]:
    """The files of which any says that a run has come to its end, its test included or not."""
    return [run.record_file] if tested else [run.record_file, run.untested_file]


def last_line(output: Path) -> str:
    """The last that a process said: a bar says nothing, nor does SLURM of what it has ended."""
    try:
        lines = output.read_text(errors="replace").splitlines()  # also at \r
    except OSError:
        return ""
    plain = (re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip() for line in reversed(lines))
    last = next((line for line in plain if line and not SAYS_NOTHING.search(line)), "")
    return visible(last.removeprefix("reslab: "))
