"""What a table came to, as its files and the terminal show it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Rendered:
    """A table that was rendered.

    Attributes:
        content: All that is known of it, as `table.json` holds it.
        folder: Where its files are.
        written: What was written: its files, and the folder of its pictures.
        warnings: A line for each picture that could not be drawn.
    """

    content: dict[str, Any]
    folder: Path
    written: tuple[Path, ...]
    warnings: tuple[str, ...] = ()

    @property
    def is_on_disk(self) -> bool:
        """Whether its folder is this table's still: another may have been rendered there since."""
        return (self.folder / "table.json").read_text() == text_of(self.content)

    @property
    def cells(self) -> int:
        """How many it has."""
        return len(self.content["cells"])

    @property
    def missing(self) -> int:
        """How many cells have no record that can be used."""
        return sum(cell["record"] is None for cell in self.content["cells"])


def text_of(content: dict[str, Any]) -> str:
    """What `table.json` has of it."""
    return json.dumps(content, indent=2) + "\n"
