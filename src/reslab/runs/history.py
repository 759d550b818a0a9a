"""A run's curves as they are on disk, where anything may stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from reslab.errors import UserError
from reslab.runs.record import WAY_OUT

METRICS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


def read_history(path: Path) -> pd.DataFrame:
    """A run's `metrics.csv`, a row for each epoch so far.

    Raises:
        UserError: It is missing, foreign or damaged.
    """
    with reading(path):
        frame = pd.read_csv(path).astype(float)
        missing = {"epoch", "lr", "seconds", *METRICS} - set(frame)
        require(not missing, f"it lacks {', '.join(sorted(missing))}")
        require(len(frame) > 0, "it is empty")
        require(list(frame["epoch"]) == list(range(1, len(frame) + 1)), "epochs are missing")
        return frame.astype({"epoch": int})


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Has a file that is missing, foreign or damaged be a line that names it.

    Raises:
        UserError: Whatever else is raised while it is entered.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {WAY_OUT}") from error
    except Exception as error:  # whatever stands in a foreign or damaged file
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged or foreign ({said}); {WAY_OUT}") from error


def require(condition: bool, otherwise: str) -> None:
    """Refuses what a file holds.

    Raises:
        ValueError: With what is wrong, unless the condition holds.
    """
    if not condition:
        raise ValueError(otherwise)
