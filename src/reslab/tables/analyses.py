"""What `reslab analyze` has found of a table's runs, side by side; nothing is found for it."""

from collections.abc import Sequence
from pathlib import Path

from bokeh.models import UIElement

from reslab.analyze.kept import SideBySide, side_by_side
from reslab.reports.layout import below
from reslab.tables.findings import Findings


def kept_analyses(findings: Findings) -> tuple[list[SideBySide], list[str]]:
    """What is kept, of each row by its first seed that has it; and a line for each spoilt file."""
    return side_by_side(
        [
            (name, [run.cell.directory for run in findings.done if run.cell.row.name == name])
            for name in findings.first
        ]
    )


def draw_analyses(analyses: Sequence[SideBySide], folder: Path) -> None:
    """Draws each as PNG and PDF."""
    for one in analyses:
        one.draw(folder / one.question.name)


def show_analyses(analyses: Sequence[SideBySide]) -> list[UIElement]:
    """Each as a part of the table's page."""
    return [below(*one.show(), name=one.question.name, tags=["analysis"]) for one in analyses]
