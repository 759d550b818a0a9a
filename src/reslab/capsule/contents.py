"""What is made of a table's records for a capsule, when it is written and when it is checked."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from reslab.capsule.layout import RECORDS
from reslab.reporter import SILENT, Reporter
from reslab.runs.score import score
from reslab.tables.collect import Result
from reslab.tables.findings import Findings, sum_up
from reslab.tables.plan import Table
from reslab.tables.reference import from_reference, kept_as
from reslab.tables.render import render

SAME_LOSS = 1e-12  # relative: it is computed in double precision, which other processors do alike


def render_from(
    table: Table, root: Path, output: Path, reporter: Reporter = SILENT
) -> tuple[Findings, Path]:
    """Renders a table from the records in an unpacked capsule.

    Args:
        table: The table.
        root: The capsule's folder.
        output: The folder with tables.
        reporter: Is told how far the pictures are.

    Returns:
        What the records come to, and the folder with the table's files.
    """
    results = [_in_capsule(one, table) for one in from_reference(table, root / RECORDS)]
    rendered = render(table, results, output, reporter)
    return sum_up(table, results), rendered.folder


def doubtful_losses(findings: Findings) -> Iterator[str]:
    """A line for each run of which the loss is not that of its logits, to all but the last places.

    Of a logit changed by whoever made all digests right again, nothing else may tell.
    """
    for run in findings.done:
        said, loss = run.record.test_loss, score(run.logits, run.labels)["loss"]
        if not math.isclose(said, loss, rel_tol=SAME_LOSS):
            name = f"{run.cell.row.name}, seed {run.cell.seed}"
            yield f"{name}: test/loss is {said:.16g}, and {loss:.16g} by its logits"


def _in_capsule(result: Result, table: Table) -> Result:
    """With the names that its files have in a capsule, wherever that is unpacked."""
    cell = kept_as(result.cell, table, Path(RECORDS))
    return replace(result, cell=cell, run=result.run and replace(result.run, cell=cell))
