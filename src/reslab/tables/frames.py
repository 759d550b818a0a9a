"""The numbers behind a table's curves, the same for every library that draws them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.publication import Row
from reslab.tables.styles import styled

PANELS = (
    ("train/accuracy", "Training accuracy, %"),
    ("val/accuracy", "Validation accuracy, %"),
    ("train/loss", "Training loss"),
    ("val/loss", "Validation loss"),
)


@dataclass(frozen=True)
class Series:
    """One row's line with the range over its seeds.

    Attributes:
        row: The row.
        style: Its line style, as `styled` gives it.
        runs: The runs behind it.
        frame: The line from left to right: x, mean, min, max.
    """

    row: Row
    style: dict[str, Any]
    runs: list[FinishedRun]
    frame: pd.DataFrame


def curves(findings: Findings, metric: str) -> list[Series]:
    """A metric over epochs, as long as all of a row's runs last; accuracies in percent."""
    return _series(findings, findings.done, lambda runs: _over_epochs(runs, metric))


def gradient_lines(findings: Findings, share: float) -> list[Series]:
    """Norms of gradients from layer to layer, after a share of each run's epochs.

    x is the place on the main path, from 1; the frame also has the layer's name. Layers that not
    all of a row's runs have are left out, and so are runs that did not keep their gradients.
    """
    runs = [run for run in findings.done if run.gradients is not None]
    return _series(findings, runs, lambda mine: _over_layers(mine, share))


def norms(run: FinishedRun) -> pd.DataFrame:
    """L2 norms of a run, a row a layer of the main path from the image on, a column an epoch.

    Epoch 0 is the first batch. Layers on a skip are left out, so that networks with and without
    skips have the same rows.
    """
    assert run.gradients is not None
    frame = run.gradients[run.gradients["path"] == "main"]
    order = frame["layer"].drop_duplicates()
    return frame.pivot(index="layer", columns="epoch", values="norm").loc[order]


def _series(
    findings: Findings,
    runs: list[FinishedRun],
    frame_of: Callable[[list[FinishedRun]], pd.DataFrame],
) -> list[Series]:
    series = []
    for row, style in styled(findings.table.publication.rows):
        if mine := [run for run in runs if run.cell.row == row]:
            series.append(Series(row, style, mine, frame_of(mine)))
    return series


def _over_epochs(runs: list[FinishedRun], metric: str) -> pd.DataFrame:
    scale = 100 if metric.endswith("accuracy") else 1
    histories = [scale * run.history.set_index("epoch")[metric] for run in runs]
    return _summary(histories).rename_axis("x").reset_index()


def _over_layers(runs: list[FinishedRun], share: float) -> pd.DataFrame:
    tables = [norms(run) for run in runs]
    frame = _summary([one[round(share * one.columns.max())] for one in tables]).reset_index()
    return frame.assign(x=np.arange(1, len(frame) + 1))


def _summary(columns: list[pd.Series]) -> pd.DataFrame:
    """Mean, min and max of what all of the columns have."""
    values = pd.concat(columns, axis=1, join="inner")
    mean, low, high = values.mean(axis=1), values.min(axis=1), values.max(axis=1)
    return pd.DataFrame({"mean": mean, "min": low, "max": high})
