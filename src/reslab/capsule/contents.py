"""What is made of a table's records for a capsule, when it is written and when it is checked."""

from dataclasses import replace
from pathlib import Path

from reslab.capsule.layout import RECORDS
from reslab.reporter import SILENT, Reporter
from reslab.tables.collect import Result
from reslab.tables.findings import Findings, sum_up
from reslab.tables.plan import Table
from reslab.tables.reference import from_reference, kept_as
from reslab.tables.render import render


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


def _in_capsule(result: Result, table: Table) -> Result:
    """With the names that its files have in a capsule, wherever that is unpacked."""
    cell = kept_as(result.cell, table, Path(RECORDS))
    return replace(result, cell=cell, run=result.run and replace(result.run, cell=cell))
