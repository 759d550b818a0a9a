"""What lists show of a run, whatever its state."""

from dataclasses import dataclass
from typing import Any

from reslab.progress import Progress
from reslab.runs.repeat import Repeat, Standing, read_curve, read_request
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Facts:
    """What is known of a run; None is not known, or not yet.

    Attributes:
        name: The directory's.
        state: As `RunDirectory.state` has it.
        why: What is wrong with it, empty if nothing is.
        standing: What it has come to so far.
        seed: The run's.
        begun: When it began or last went on, seconds since 1970.
        recipe: The recipe's name.
        progress: Of one that is running, or was before it was interrupted or queued again.
        unsaved: Whether it was interrupted before it had saved anything.
    """

    name: str
    state: str
    why: str
    standing: Standing
    seed: float | None = None
    begun: float | None = None
    recipe: str | None = None
    progress: Progress | None = None
    unsaved: bool = False

    @classmethod
    def read(cls, run: RunDirectory, state: str, repeat: Repeat | None, fault: str) -> "Facts":
        """Reads them; `fault` is why there is no `repeat`."""
        if repeat:
            known: dict[str, Any] = {
                **{"standing": repeat.standing, "seed": repeat.seed},
                **{"begun": repeat.begun, "recipe": repeat.recipe},
            }
        else:
            known = {"standing": read_curve(run), "begun": read_request(run)[0]}
        if state in ("running", "queued", "interrupted"):
            known["progress"] = run.progress()
        known["unsaved"] = state == "interrupted" and not run.latest.exists
        return cls(run.name, state, (run.why() if state == "failed" else "") or fault, **known)
