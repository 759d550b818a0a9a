"""A reporter that prints to the error output, beside which results stay clean."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        with tqdm(total=total, unit=unit, unit_scale=True, dynamic_ncols=True, leave=False) as bar:
            yield lambda: (bar.update(), None)[1]
