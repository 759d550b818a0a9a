"""Tables as Markdown, and their way into a README, so that nobody types a result."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from reslab.errors import UserError


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Rows of text as GitHub shows them, `left` columns to the left, the others to the right."""
    ruler = [*["---"] * left, *["---:"] * (len(headings) - left)]
    return "\n".join(
        f"| {' | '.join(text.replace('|', '/') for text in row)} |"
        for row in (headings, ruler, *rows)
    )


def insert_files(readme: Path, folder: Path) -> None:
    """Replaces what stands between `<!-- table PATH -->` and `<!-- end -->` by PATH's content.

    So it does for every Markdown file of a table's folder that the README has a place for: each is
    called what its file is, as in `<!-- claims PATH -->`.

    Args:
        readme: The Markdown file.
        folder: The one with `table.md`; PATH is a file of it as a link in the README would name it.

    Raises:
        UserError: The README has no such place.
    """
    text, table = readme.read_text(), folder / "table.md"
    places = {
        file: f"{file.stem} {Path(os.path.relpath(file, readme.parent)).as_posix()}"
        for file in (table, *sorted(set(folder.glob("*.md")) - {table}))
    }
    asked = [file for file, place in places.items() if f"<!-- {place} -->" in text]
    for file in asked or [table]:  # of which is then said that there is no place
        insert(readme, places[file], file.read_text())


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
