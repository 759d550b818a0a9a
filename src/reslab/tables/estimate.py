"""Which cells are done, and how long the rest will take."""

from statistics import fmean

from reslab.tables.collect import Result
from reslab.tables.plan import Table
from reslab.terminal.console import print_table


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
    return f"about {_text(sum(left))} left"


def print_plan(table: Table, results: list[Result]) -> None:
    """A line a cell: its state, its directory and the time it took or will take."""
    times = [_text(seconds) for seconds in estimate_seconds(results)] or [""] * len(results)
    rows = []
    for result, time in zip(results, times, strict=True):
        cell, about = result.cell, "" if result.record or not time else "about "
        rows.append(
            (cell.row.name, str(cell.seed), result.state, about + time, cell.directory.name)
        )
    print_table(table.heading, ("Cell", "Seed", "State", "Time", "Run"), rows)
    done = sum(result.record is not None for result in results)
    print(f"\n{done} of {len(results)} cells are done", end="")
    if done == len(results):
        print()
    else:
        print(f"; {time_left(results) or 'none to tell the time of the rest from'}")


def _text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
