"""Tables as Markdown, and their way into a README, so that nobody types a result."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from reslab.errors import UserError


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as GitHub shows them, the first column to the left, the others to the right."""
    ruler = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(
        f"| {' | '.join(text.replace('|', '/') for text in row)} |"
        for row in (headings, ruler, *rows)
    )


def insert_table(readme: Path, table: Path) -> None:
    """Replaces what stands between `<!-- table PATH -->` and `<!-- end -->` by PATH's content.

    Args:
        readme: The Markdown file.
        table: The `table.md` to insert; PATH is it as a link in the README would name it.

    Raises:
        UserError: The README has no such place.
    """
    place = Path(os.path.relpath(table, readme.parent)).as_posix()
    insert(readme, f"table {place}", table.read_text())


def insert(readme: Path, place: str, content: str) -> None:
    """Replaces what stands between `<!-- PLACE -->` and `<!-- end -->`.

    Raises:
        UserError: The README has no such place.
    """
    before, after = around(readme, place)
    readme.write_text(f"{before}<!-- {place} -->\n{content}<!-- end -->{after}")


def around(readme: Path, place: str) -> tuple[str, str]:
    """What stands before and after what `insert` replaces.

    Raises:
        UserError: The README has no such place.
    """
    marker, text = f"<!-- {place} -->", readme.read_text()
    found = re.search(f"{re.escape(marker)}.*?<!-- end -->", text, re.DOTALL)
    if not found:
        raise UserError(f"{readme} has no {marker} ... <!-- end -->")
    return text[: found.start()], text[found.end() :]
