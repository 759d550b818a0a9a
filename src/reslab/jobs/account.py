"""What becomes of the cells of a sweep, said line by line."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.reporter import Reporter
from reslab.runs.outcome import Outcome

ELSEWHERE = "running in another process"
COUNTED = ("failed", "stopped", "elsewhere")


@dataclass(frozen=True)
class Ended:
    """What became of a cell's process.

    Attributes:
        cell: The cell.
        state: `finished`; `stopped`, as it was asked to; `elsewhere`, as another process runs it
            or somebody else's job is to; `failed`; or `queued`, as a cluster is to run it and
            nobody waits for that.
        reason: Why it is not finished, one line.
        seconds: How long the process lived.
    """

    cell: Cell
    state: Literal["finished", "stopped", "elsewhere", "failed", "queued"]
    reason: str
    seconds: float


@dataclass(frozen=True)
class Swept:
    """What became of cells.

    Attributes:
        ends: Of each cell in turn that was begun.
        signum: The signal that stopped the sweep, None where it came to its end.
    """

    ends: tuple[Ended, ...]
    signum: int | None


class Account:
    """The cells of a sweep, and how those ended that have.

    Args:
        cells: The cells.
        reporter: Is told of each.
        on_finished: What else is done when one is finished; an error of the user's in it is the
            cell's.
    """

    def __init__(
        self, cells: Sequence[Cell], reporter: Reporter, on_finished: Callable[[Cell], None]
    ) -> None:
        self.cells, self.reporter, self.on_finished = tuple(cells), reporter, on_finished
        self._ends: dict[Path, Ended] = {}

    def take(self, end: Ended, left: Callable[[], str] = str) -> None:
        """Notes how a cell has ended, and says so.

        Args:
            end: How.
            left: Asked, behind a finished one, what is to be said of the time that is left.
        """
        if end.state == "finished":
            try:
                self.on_finished(end.cell)
            except UserError as error:
                end = replace(end, state="failed", reason=str(error))
        self._ends[end.cell.directory.path] = end
        text = left() if end.state == "finished" else ""
        self.say(end.cell, "; ".join(filter(None, [_in_a_line(end), text])))

    def say(self, cell: Cell, text: str) -> None:
        """Says a line about a cell."""
        number = self.cells.index(cell) + 1
        self.reporter.say(f"[{number}/{len(self.cells)}] {cell.title}: {text}")

    @property
    def ends(self) -> list[Ended]:
        """How those ended that have, in the order of the cells."""
        ends = dict(self._ends)  # a copy: another thread looks on
        paths = [cell.directory.path for cell in self.cells]
        return [ends[path] for path in paths if path in ends]

    def counts(self) -> list[str]:
        """How many have ended, by how."""
        states = Counter[str](end.state for end in self.ends)
        others = (f"{states[state]} {state}" for state in COUNTED if states[state])
        return [f"{states['finished']} of {len(self.cells)} finished", *others]


def _in_a_line(end: Ended) -> str:
    """What is said of a cell that has ended."""
    if end.state != "finished":
        return f"failed: {end.reason}" if end.state == "failed" else end.reason
    try:
        record = end.cell.directory.record()
    except UserError as error:
        return str(error)
    return str(Outcome(record, trained=True)) if record else end.state
