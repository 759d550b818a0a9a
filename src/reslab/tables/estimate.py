"""How long cells will take, going by those that are done."""

from dataclasses import dataclass
from statistics import fmean

from reslab.progress import in_words
from reslab.tables.collect import Result
from reslab.tables.plan import Table


@dataclass(frozen=True)
class Outlook:
    """A table's cells before anything is run for it."""

    table: Table
    results: list[Result]

    @property
    def done(self) -> int:
        """How many cells are finished."""
        return sum(result.record is not None for result in self.results)


def estimate_seconds(results: list[Result]) -> list[float]:
    """Seconds that each cell took, or will still take; empty before any cell has a record.

    A cell takes what its row's finished cells took; for a row without one, its work scales what
    the others took.
    """
    finished = [(result.cell, result.record.seconds) for result in results if result.record]
    if not finished:
        return []
    rate = 0.0
    if {result.cell.row.name for result in results} - {cell.row.name for cell, _ in finished}:
        rate = fmean(seconds / cell.workload.macs for cell, seconds in finished)
    estimates = []
    for result in results:
        known = [seconds for cell, seconds in finished if cell.row.name == result.cell.row.name]
        estimate = fmean(known) if known else rate * result.cell.workload.macs
        seconds = max(0.0, estimate - result.seconds)
        estimates.append(result.record.seconds if result.record else seconds)
    return estimates


def time_left(results: list[Result]) -> str:
    """`about 3 min left`, going by the finished cells; empty before there is one."""
    estimates = estimate_seconds(results)
    if not estimates:
        return ""
    left = (t for t, result in zip(estimates, results, strict=True) if not result.record)
    return f"about {in_words(sum(left))} left"
