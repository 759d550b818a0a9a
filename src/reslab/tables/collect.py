"""What a table's runs recorded."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from reslab.evaluation.metrics import Predictions, of_logits
from reslab.runs.record import Record
from reslab.tables.plan import Cell, Table

BESIDE_OTHERS = 0.1  # of a core that other processes kept busy, above which a time is starred


@dataclass(frozen=True)
class Result:
    """A cell with the state of its run and, once that is finished, its record."""

    cell: Cell
    state: str
    record: Record | None

    @cached_property
    def predictions(self) -> Predictions:
        """What a finished run's best network says of the test set."""
        return of_logits(*self.cell.directory.predictions())

    @property
    def trained_alone(self) -> bool:
        """Whether the run trained with the machine to itself, as far as that is recorded."""
        busy = self.record.others_cpu if self.record else None
        return busy is not None and busy <= BESIDE_OTHERS

    @property
    def predicted_alone(self) -> bool:
        """Whether it had it while it predicted; what does not say so is as when it trained."""
        busy = self.record.inference_others_cpu if self.record else None
        return self.trained_alone if busy is None else busy <= BESIDE_OTHERS

    @property
    def seconds(self) -> float:
        """What the run's epochs have taken so far."""
        try:
            return float(pd.read_csv(self.cell.directory.metrics_file)["seconds"].sum())
        except (OSError, ValueError, KeyError):
            return 0.0


def collect(table: Table) -> list[Result]:
    """Looks every cell up; a run that was never begun is `missing`."""
    results = []
    for cell in table.cells:
        begun = cell.directory.config_file.exists() or cell.directory.failure_file.exists()
        state = cell.directory.state() if begun else "missing"
        results.append(Result(cell, state, cell.directory.record()))
    return results
