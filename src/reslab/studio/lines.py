"""Lines of the table of runs, and which of them are new to a page."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Lines:
    """Lines by name, each with the number of the look that changed it last."""

    now: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)

    def put(self, line: dict[str, Any], look: int) -> None:
        """Takes a line as a look has it."""
        name = line["name"]
        if name not in self.now or self.now[name][0] != line:
            self.now[name] = line, look
            self.gone.pop(name, None)

    def remove(self, name: str, look: int) -> None:
        """Takes out what a look has not found."""
        if self.now.pop(name, None):
            self.gone[name] = look
