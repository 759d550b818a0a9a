"""What became of a table's cells."""

from dataclasses import dataclass

from reslab.errors import UserError
from reslab.runs.history import read_history
from reslab.runs.identity import differing_keys, hashed_config
from reslab.runs.record import WAY_OUT, Record
from reslab.runs.store import RunDirectory
from reslab.tables.finished import FinishedRun, contradictions, read_finished
from reslab.tables.plan import Cell, Table


@dataclass(frozen=True)
class Result:
    """A cell and what became of it.

    Attributes:
        cell: The cell.
        state: `missing` before anything was begun, `queued`, `running`, `interrupted`, `failed`,
            `untested`, `finished`, or `damaged`: finished, but what it left cannot be used.
        run: What it left, of a finished cell alone.
        reason: Why it failed, or what is damaged; one line, else empty.
    """

    cell: Cell
    state: str
    run: FinishedRun | None = None
    reason: str = ""

    @property
    def record(self) -> Record | None:
        """The record of a finished cell."""
        return self.run.record if self.run else None

    @property
    def seconds(self) -> float:
        """What the run's epochs have taken so far."""
        try:
            return float(read_history(self.cell.directory.metrics_file)["seconds"].sum())
        except UserError:  # not there yet, or of no use
            return 0.0


def collect(table: Table) -> list[Result]:
    """Looks every cell up; what is wrong with one of them is its own."""
    return [_own(look_up(cell)) for cell in table.cells]


def _own(result: Result) -> Result:
    """Another run's directory does not answer for a cell, whatever has given it that name."""
    cell, run = result.cell, result.run
    if run is None or run.record.identity == cell.identity:
        return result
    keys = ", ".join(differing_keys(cell.config, hashed_config(run.cfg)))
    place = cell.directory.path
    reason = f"{place} is the directory of another run, which differs in {keys}: move it away"
    return Result(cell, "damaged", reason=reason)


def look_up(cell: Cell) -> Result:
    """What became of a cell, with all that it left if it is finished."""
    directory = cell.directory
    files = (
        *(directory.request_file, directory.config_file),
        *(directory.failure_file, directory.record_file),
    )
    if not any(file.exists() for file in files):
        return Result(cell, "missing")
    state = directory.state()
    if state == "failed":
        return Result(cell, state, reason=_failure(directory))
    if state != "finished":
        return Result(cell, state)
    try:
        run = read_finished(cell)
        wrong = contradictions(run) if run else ["its record has gone"]
    except UserError as error:
        return Result(cell, "damaged", reason=str(error))
    if wrong:
        return Result(cell, "damaged", reason=f"{directory.path}: {', '.join(wrong)}; {WAY_OUT}")
    return Result(cell, state, run)


def _failure(directory: RunDirectory) -> str:
    """The first line of what was said, as far as it is text."""
    try:
        line = directory.failure_file.read_text(errors="replace").partition("\n")[0]
    except OSError as error:
        return f"{directory.failure_file.name}: {error.strerror}"
    return line if line.isprintable() else ascii(line)
