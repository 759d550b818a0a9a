"""What lists show of a run, whatever its state."""

import contextlib
import csv
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reslab.errors import UserError
from reslab.progress import Progress
from reslab.runs.record import Record
from reslab.runs.seeds import Repeat
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Facts:
    """What is known of a run; None is not known, or not yet.

    Attributes:
        name: The directory's.
        state: As `RunDirectory.state` has it.
        why: What is wrong with it, empty if nothing is.
        seed: The run's.
        epochs: Epochs that are done.
        val: The best epoch's validation accuracy, from 0 to 1.
        seconds: Of all epochs together.
        begun: When it began or last went on, seconds since 1970.
        recipe: The recipe's name.
        progress: Of one that is running, or was before it was interrupted or queued again.
        unsaved: Whether it was interrupted before it had saved anything.
        record: Of a finished one.
    """

    name: str
    state: str
    why: str
    seed: float | None = None
    epochs: int | None = None
    val: float | None = None
    seconds: float | None = None
    begun: float | None = None
    recipe: str | None = None
    progress: Progress | None = None
    unsaved: bool = False
    record: Record | None = None

    @classmethod
    def read(cls, run: RunDirectory, state: str, repeat: Repeat | None, fault: str) -> "Facts":
        """Reads them; `fault` is why there is no `repeat`."""
        known: dict[str, Any] = {}
        # A request may be missing, of an older version, or spoilt.
        with contextlib.suppress(UserError, ValueError, TypeError):
            if request := run.request():
                known["begun"] = datetime.fromisoformat(request.begun).timestamp()
        if repeat:
            seed = repeat.config.get("seed")  # a foreign file's may be anything
            known |= {"seed": seed if isinstance(seed, float) else None, "recipe": repeat.recipe}
        if repeat and (record := repeat.record):
            known |= {"epochs": record.epochs, "val": record.val_accuracy}
            known |= {"seconds": record.seconds, "record": record}
        else:
            known |= _curve(run)
        if state in ("running", "queued", "interrupted"):
            known["progress"] = run.progress()
        known["unsaved"] = state == "interrupted" and not run.latest.exists
        return cls(run.name, state, (run.why() if state == "failed" else "") or fault, **known)


def _curve(run: RunDirectory) -> dict[str, Any]:
    """What the epochs so far have come to."""
    try:
        with run.metrics_file.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            "epochs": len(rows),
            "val": max((float(row["val/accuracy"]) for row in rows), default=None),
            "seconds": sum(float(row["seconds"]) for row in rows),
        }
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # not there yet, or spoilt
        return {}
