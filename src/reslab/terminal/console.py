"""Tables for the terminal, narrow enough for 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def print_table(title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows of text, the first column to the left and the others to the right."""
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0, show_edge=False
    )
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, emoji=False)  # brackets and colons are just that
    if not console.is_terminal:
        console.width = 160
    console.print(table)
