"""A reporter that prints to the error output, beside which results stay clean."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from reslab.reporter import Reporter


class Terminal(Reporter):
    """Lines, warnings and a bar with the time left."""

    def say(self, text: str) -> None:
        """Prints a line."""
        tqdm.write(text, file=sys.stderr)
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """Prints a line that begins with `warning:`."""
        self.say(f"warning: {text}")

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Callable[[], None]]:
        """Shows a bar, which is gone afterwards."""
        options = {"unit_scale": total >= 1000, "dynamic_ncols": True, "leave": False}
        with tqdm(total=total, unit=unit, **options) as bar:
            yield lambda: (bar.update(), None)[1]

    @contextmanager
    def watching(self, look: Callable[[], tuple[Sequence[Path], str]]) -> Iterator[None]:
        """Shows runs below what is said, on a terminal; a file has what is said alone."""
        if not sys.stderr.isatty():
            yield
            return
        from reslab.terminal.watch import shown

        with shown(look):
            yield
