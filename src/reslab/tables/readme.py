"""Puts a rendered table into a README, so that nobody types a result."""

import re
from pathlib import Path

from reslab.errors import UserError


def insert_table(readme: Path, table: Path) -> None:
    """Replaces what stands between `<!-- table PATH -->` and `<!-- end -->` by PATH's content.

    Args:
        readme: The Markdown file.
        table: The `table.md` to insert; PATH is it, relative to the README.

    Raises:
        UserError: The README has no such place.
    """
    insert(readme, f"table {table.relative_to(readme.parent)}", table.read_text())


def insert(readme: Path, place: str, content: str) -> None:
    """Replaces what stands between `<!-- PLACE -->` and `<!-- end -->`.

    Raises:
        UserError: The README has no such place.
    """
    marker = f"<!-- {place} -->"
    found = re.compile(f"{re.escape(marker)}.*?<!-- end -->", re.DOTALL)
    text = readme.read_text()
    if not found.search(text):
        raise UserError(f"{readme} has no {marker} ... <!-- end -->")
    readme.write_text(found.sub(lambda _: f"{marker}\n{content}<!-- end -->", text))
