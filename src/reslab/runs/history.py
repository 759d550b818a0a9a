"""A run's curves as they are on disk, where anything may stand."""

from pathlib import Path

import pandas as pd

from reslab.runs.reading import reading, require

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
