"""What analyses of a run found, kept beside it: each under a digest of what it was asked."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from reslab import locks
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs.store import RunDirectory

ASKED = "asked"  # the array with what was asked, beside those that were found


class Analysis:
    """The file of what one analysis of a run has found so far.

    Args:
        run: The run.
        kind: Which analysis, such as `landscape`.
        asked: What its result depends on besides the run, as JSON's types.
    """

    def __init__(self, run: RunDirectory, kind: str, asked: Mapping[str, Any]) -> None:
        self._asked = json.dumps(dict(asked), sort_keys=True)
        digest = hashlib.sha256(self._asked.encode()).hexdigest()[:8]
        self.path = run.analyses / f"{kind}-{digest}.npz"

    def read(self) -> dict[str, np.ndarray]:
        """The arrays that are kept, none if there is no file.

        Raises:
            UserError: The file is damaged or foreign.
        """
        try:
            asked, arrays = _content(self.path)
            if asked != self._asked:
                raise ValueError("it is of something else")
            return arrays
        except FileNotFoundError:
            return {}
        except Exception as error:  # whatever a foreign or damaged file makes numpy stumble over
            raise UserError(damaged(self.path)) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Entered by who adds to it: of two at once, the one that is less far could win.

        Raises:
            UserError: Another process is at it, or the run's folder cannot be written into.
        """
        with ExitStack() as stack:
            try:
                self.path.parent.mkdir(exist_ok=True)
                stack.enter_context(locks.held(self.path.with_suffix(".lock"), timeout=0))
            except Timeout as error:
                raise UserError(
                    f"another process is finding what {self.path} is to hold: wait for it, or stop "
                    f"it and go on from there"
                ) from error
            except OSError as error:
                raise UserError(f"cannot write {self.path}: {error.strerror}") from error
            yield

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps arrays in place of those that were kept; to be called by who is `alone`.

        Raises:
            UserError: They cannot be written.
        """
        buffer = io.BytesIO()
        content: dict[str, Any] = {ASKED: np.array(self._asked), **arrays}
        np.savez_compressed(buffer, **content)
        write_atomically(self.path, buffer.getvalue())


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What an analysis was asked whose file that is, and the arrays that it has found so far.

    Raises:
        UserError: The file is damaged or foreign.
    """
    try:
        asked, arrays = _content(path)
        return dict(json.loads(asked)), arrays
    except Exception as error:  # as above
        raise UserError(damaged(path)) from error


def _content(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    with np.load(path) as content:
        arrays = dict(content)
    return str(arrays.pop(ASKED)), arrays


def damaged(path: Path) -> str:
    """What is said of a file of an analysis that cannot be read."""
    return f"{path} is damaged or foreign: delete it to have it made anew"
