"""Running runs, drawn anew every second."""

import time
from collections.abc import Callable
from typing import Literal

from rich import box
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from reslab.progress import in_words
from reslab.runs.store import RunDirectory

SECONDS_BETWEEN_LOOKS = 1.0
COLUMNS = {"State": 11, "": 10, "Epoch": 5, "Loss": 5, "img/s": 5, "Left": 6}


def watch_runs(find: Callable[[], list[RunDirectory]]) -> bool:
    """Shows what `find` finds until none of it runs; those that end meanwhile stay, with how.

    Args:
        find: Gives the runs to show, at every look.

    Returns:
        Whether there was anything to show.
    """
    seen = {str(run.path): run for run in find()}
    if not seen:
        return False
    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 160
    with Live(console=console, auto_refresh=False) as live:
        while True:
            states = {path: run.state() for path, run in seen.items()}
            live.update(_table(list(seen.values()), states), refresh=True)
            if "running" not in states.values():
                return True
            try:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            except KeyboardInterrupt:
                return True
            seen |= {str(run.path): run for run in find()}


def _table(runs: list[RunDirectory], states: dict[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Run", no_wrap=True, overflow="ellipsis")
    for heading, width in COLUMNS.items():
        justify: Literal["left", "right"] = "right" if heading else "left"
        table.add_column(heading, justify=justify, no_wrap=True, min_width=width)
    for run in runs:
        state, at = states[str(run.path)], run.progress()
        if at is None or state == "finished":
            table.add_row(run.name, state)
            continue
        table.add_row(
            run.name,
            state,
            ProgressBar(total=1.0, completed=at.done, width=COLUMNS[""]),
            f"{at.epoch}/{at.epochs}",
            "" if at.loss is None else f"{at.loss:.3f}",
            "" if at.images_per_second is None else f"{at.images_per_second:,.0f}",
            in_words(at.seconds_left) if state == "running" else "",
        )
    return table
