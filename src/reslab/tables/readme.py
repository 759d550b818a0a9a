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
    marker = f"<!-- table {table.relative_to(readme.parent)} -->"
    place = re.compile(f"{re.escape(marker)}.*?<!-- end -->", re.DOTALL)
    text = readme.read_text()
    if not place.search(text):
        raise UserError(f"{readme} has no {marker} ... <!-- end -->")
    content = f"{marker}\n{table.read_text()}<!-- end -->"
    readme.write_text(place.sub(lambda _: content, text))
