"""Tables for the terminal, narrow enough for 80 columns."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table


def print_table(title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text, the first column to the left and the others to the right.

    Where a terminal is too narrow for that, each row is some lines: nothing is cut off.
    """
    console = Console(markup=False, emoji=False)  # brackets and colons are just that
    if not console.is_terminal:
        console.width = 160
    columns = zip(headings, *rows, strict=True)
    needed = sum(max(map(cell_len, column)) + 1 for column in columns) - 1
    if console.is_terminal and needed > console.width:
        console.print(stacked(title, headings, rows, console.width), highlight=False)
        return
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def stacked(
    title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> str:
    """The first cell of each row on a line of its own, the others by name below it."""
    lines = [title] if title else []
    for first, *others in rows:
        lines += textwrap.wrap(first, width, break_on_hyphens=False) or [""]
        named = zip(headings[1:], others, strict=True)
        pairs = [f"{heading}\xa0{text}".replace(" ", "\xa0") for heading, text in named if text]
        below = textwrap.wrap(
            "  ".join(pairs), width, initial_indent="  ", subsequent_indent="  ",
            break_on_hyphens=False,
        )  # fmt: skip
        lines += [line.replace("\xa0", " ") for line in below]
    return "\n".join(lines)
