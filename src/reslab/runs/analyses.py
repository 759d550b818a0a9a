"""What analyses of a run found, kept beside it: each under a digest of what it was asked."""

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

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
            with np.load(self.path) as content:
                arrays = dict(content)
            if str(arrays.pop(ASKED)) != self._asked:
                raise ValueError("it is of something else")
            return arrays
        except FileNotFoundError:
            return {}
        except Exception as error:  # whatever a foreign or damaged file makes numpy stumble over
            raise UserError(
                f"{self.path} is damaged or foreign: delete it to have it made anew"
            ) from error

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps arrays in place of those that were kept.

        Raises:
            UserError: They cannot be written.
        """
        try:
            self.path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from error
        buffer = io.BytesIO()
        content: dict[str, Any] = {ASKED: np.array(self._asked), **arrays}
        np.savez_compressed(buffer, **content)
        write_atomically(self.path, buffer.getvalue())
