"""How far a run is, in a file that others read while it trains."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from reslab.content import build, parse
from reslab.files import write_atomically


@dataclass(frozen=True)
class Progress:
    """Where training stands.

    Attributes:
        epoch: The epoch that is under way, from 1.
        epochs: As many as there will be at the most.
        step: Steps of this epoch that are done.
        steps_per_epoch: As many as it has.
        done: The share of the whole run that is done, from 0 to 1.
        loss: A recent batch's loss, None before the first is known.
        lr: The learning rate.
        images_per_second: Lately, None before it is known.
        seconds_left: To the end of training, None before it is known.
        losses: Of this epoch: steps, and their batches' losses, a few hundred at the most.
    """

    epoch: int
    epochs: int
    step: int
    steps_per_epoch: int
    done: float
    loss: float | None
    lr: float
    images_per_second: float | None
    seconds_left: float | None
    losses: tuple[tuple[int, float], ...] = ()

    def write(self, path: Path) -> None:
        """Replaces the file; where that fails, as on a full disk, training is to go on."""
        with contextlib.suppress(OSError):
            write_atomically(path, json.dumps(asdict(self)).encode(), durably=False)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What the file says, None where there is none or it is another program's."""
        try:
            progress: Self = build(cls, parse(path.read_bytes()))
        except (OSError, ValueError):
            return None
        return progress if 0 <= progress.done <= 1 else None


def in_words(seconds: float | None) -> str:
    """`40 s`, `3 min`, `2.5 h`; nothing where it is not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
