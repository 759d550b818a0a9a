"""What is known of a run before its test set was read."""

import csv

from reslab.runs.store import RunDirectory


def values_of(directory: RunDirectory, metric: str) -> list[float]:
    """A metric's value in each epoch that is over, empty before the first."""
    try:
        with directory.metrics_file.open(newline="") as file:
            return [float(row[metric]) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
