"""Running runs, drawn anew every second."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reslab.progress import in_words
from reslab.runs.store import RunDirectory
from reslab.terminal.console import stacked

SECONDS_BETWEEN_LOOKS = 1.0
COLUMNS = {"State": 11, "Done": 10, "Epoch": 5, "Loss": 5, "img/s": 5, "Left": 6}


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
            live.update(_drawn(list(seen.values()), states, console.width), refresh=True)
            if "running" not in states.values():
                return True
            try:
                time.sleep(SECONDS_BETWEEN_LOOKS)
            except KeyboardInterrupt:
                return True
            seen |= {str(run.path): run for run in find()}


@contextmanager
def shown(look: Callable[[], tuple[Sequence[Path], str]]) -> Iterator[None]:
    """Shows runs at the end of the error output while it is entered, below what is printed there.

    Args:
        look: Gives the directories of those that go on, and a line about all of them.
    """
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)

    def draw() -> RenderableType:
        paths, line = look()
        runs = [RunDirectory(path) for path in paths]
        states = {str(run.path): "running" for run in runs}
        return Group(*([_drawn(runs, states, console.width)] if runs else []), Text(line))

    with Live(
        console=console,
        get_renderable=draw,
        refresh_per_second=1 / SECONDS_BETWEEN_LOOKS,
        redirect_stdout=False,  # results may go elsewhere
        transient=True,
    ):
        yield


def _drawn(runs: list[RunDirectory], states: dict[str, str], width: int) -> RenderableType:
    """A line a run with a bar, or on a narrow terminal some lines without one."""
    rows = [(run.name, *_cells(run, states[str(run.path)])) for run in runs]
    if max(len(name) for name, *_ in rows) + sum(COLUMNS.values()) + len(COLUMNS) > width:
        names = ["Run", *COLUMNS]
        texts = [(*row[:2], f"{row[2]:.0%}" if row[2] else "", *row[3:]) for row in rows]
        return Text(stacked(None, names, texts, width))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("Run", no_wrap=True)
    for heading, least in COLUMNS.items():
        justify: Literal["left", "right"] = "right" if heading != "Done" else "left"
        table.add_column(heading, justify=justify, no_wrap=True, min_width=least)
    for name, state, done, *others in rows:
        bar = "" if done is None else ProgressBar(total=1.0, completed=done, width=COLUMNS["Done"])
        table.add_row(name, state, bar, *others)
    return table


def _cells(run: RunDirectory, state: str) -> tuple[str, float | None, str, str, str, str]:
    at = run.progress()
    if at is None or state == "finished":
        return state, None, "", "", "", ""
    return (
        state,
        at.done,
        f"{at.epoch}/{at.epochs}",
        "" if at.loss is None else f"{at.loss:.3f}",
        "" if at.images_per_second is None else f"{at.images_per_second:,.0f}",
        in_words(at.seconds_left) if state == "running" else "",
    )
