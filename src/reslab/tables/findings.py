"""What a table's results come to: lines, comparisons of rows, and what a reader must know."""

from dataclasses import dataclass

import numpy as np

from reslab.tables.collect import Result
from reslab.tables.finished import FinishedRun
from reslab.tables.plan import Table
from reslab.tables.remarks import remarks
from reslab.tables.stats import Comparison, compare, correct
from reslab.tables.summaries import Line, summarize


@dataclass(frozen=True)
class Findings:
    """A table with what its cells recorded.

    Attributes:
        table: The table.
        results: Its cells.
        lines: What is said of each row.
        pairs: Comparisons of rows.
        notes: What a reader must know.
    """

    table: Table
    results: list[Result]
    lines: list[Line]
    pairs: list[Comparison]
    notes: list[str]

    @property
    def done(self) -> list[FinishedRun]:
        """What the finished cells left."""
        return [result.run for result in self.results if result.run]

    @property
    def first(self) -> dict[str, FinishedRun]:
        """What the first finished seed of each row left, by the row's name."""
        first: dict[str, FinishedRun] = {}
        for run in self.done:
            first.setdefault(run.cell.row.name, run)
        return first

    @property
    def missing(self) -> int:
        """How many cells have no record that can be used."""
        return len(self.results) - len(self.done)


def sum_up(table: Table, results: list[Result]) -> Findings:
    """Summarizes and compares the rows of a table."""
    lines = [summarize(row, results) for row in table.publication.rows]
    pairs, refused = compare_pairs(table, results)
    notes = remarks(table, lines, pairs, results)
    return Findings(table, results, lines, pairs, [*notes, *refused])


def compare_pairs(table: Table, results: list[Result]) -> tuple[list[Comparison], list[str]]:
    """The table's pairs of rows that share finished seeds, corrected for their number.

    Returns:
        The comparisons, and a line for each pair that cannot be compared.
    """
    comparisons, refused = [], []
    for first, second in table.publication.pairs:
        runs = [
            {r.cell.seed: r.run.predictions for r in results if r.cell.row.name == name and r.run}
            for name in (first, second)
        ]
        both = {seed: (runs[0][seed], runs[1][seed]) for seed in runs[0].keys() & runs[1].keys()}
        if not all(np.array_equal(ours.labels, theirs.labels) for ours, theirs in both.values()):
            refused.append(f"{first} - {second}: not compared, being of different test sets.")
        elif both:
            right = {seed: (ours.right, theirs.right) for seed, (ours, theirs) in both.items()}
            comparisons.append(compare(first, second, right))
    return correct(comparisons, len(table.publication.pairs)), refused
