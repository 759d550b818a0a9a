"""What is known of a run before its test set was read."""

import csv
import math

from reslab.runs.reading import reading
from reslab.runs.store import RunDirectory


def values_of(directory: RunDirectory, metric: str) -> list[float]:
    """A metric's value in each epoch that is over, empty before the first.

    It is NaN where the validation loss is not finite: such an epoch is never the best.

    Raises:
        UserError: The file is damaged or foreign.
    """
    path = directory.metrics_file
    if not path.exists():
        return []
    with reading(path), path.open(newline="") as file:
        return [_value(row, metric) for row in csv.DictReader(file)]


def _value(row: dict[str, str], metric: str) -> float:
    return float(row[metric]) if math.isfinite(float(row["val/loss"])) else math.nan
