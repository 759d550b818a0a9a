"""Tables for the terminal, narrow enough for 80 columns."""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console


def print_table(title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text, the first column to the left and the others to the right.

    Where a terminal is too narrow for that, each row is some lines: nothing is cut off.
    """
    console = Console(markup=False, emoji=False)  # brackets and colons are just that
    if not console.is_terminal:
        console.width = 160
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    if console.is_terminal and sum(widths) + len(widths) - 1 > console.width:
        console.print(stacked(title, headings, rows, console.width), highlight=False)
        return
    if title:
        console.print(title, style="italic", highlight=False, soft_wrap=True)
    console.print(_aligned(headings, widths), style="bold", highlight=False, soft_wrap=True)
    print("─" * (sum(widths) + len(widths) - 1), file=console.file)
    for row in rows:  # each by rich would take a second for two thousand
        print(_aligned(row, widths), file=console.file)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    spaces = [" " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True)]
    others = [space + text for space, text in zip(spaces[1:], row[1:], strict=True)]
    return " ".join([row[0] + spaces[0], *others])


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
