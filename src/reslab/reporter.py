"""What long work tells of itself while it goes on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Reporter:
    """Takes what is said and shows nothing; the terminal's prints it.

    Results are no part of it: they are what a function returns.
    """

    def say(self, text: str) -> None:
        """Takes a line about what is being done."""

    def warn(self, text: str) -> None:
        """Takes a line about what the user should know and need not stop for."""

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Callable[[], None]]:
        """Yields what is to be called for every one of `total` units that is done."""
        yield lambda: None

    @contextmanager
    def watching(self, look: Callable[[], tuple[Sequence[Path], str]]) -> Iterator[None]:
        """Shows how far runs are while it is entered, anew every second.

        Args:
            look: Gives the directories of those that go on, and a line about all of them.
        """
        yield


SILENT = Reporter()
