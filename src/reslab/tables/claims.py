"""What a table claims, row by row: the command that makes it again, and what counts as the same."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from reslab.markdown import markdown_table
from reslab.tables.columns import COLUMNS, Line, in_minutes
from reslab.tables.findings import Findings
from reslab.tables.plan import Table
from reslab.tables.verify import tolerance_elsewhere

HEADINGS = ("Claim", "Command", "Minutes", "Tolerance, pp", "Hardware")
LEGEND = (
    "- Claim: mean ± sample standard deviation over n seeds, the mean's 95 % interval by Student's "
    "t, and what the paper prints of the same data. Minutes: of training, of all runs of the "
    "command together, on the hardware named; * beside other work on it. Tolerance: the largest "
    "difference of a run's accuracy from its record's, in percentage points, with which `reslab "
    "verify` passes on other hardware or versions; with the same code, versions and processor "
    "there is none, of records made on a CPU that say which instructions they used."
)


@dataclass(frozen=True)
class Claim:
    """What is claimed of a row that has records.

    Attributes:
        text: Its accuracy, with the spread over seeds and the published figure.
        command: What trains its runs anew.
        minutes: What they took, all together.
        alone: Whether they trained with nothing else on the machine.
        tolerance: The largest difference of an accuracy that `verify` passes on another machine, in
            percentage points.
        hardware: What they ran on.
    """

    text: str
    command: str
    minutes: float
    alone: bool
    tolerance: float
    hardware: str


def claims(findings: Findings) -> list[Claim]:
    """What a table claims: a row without a record claims nothing."""
    return [_claim(findings, line) for line in findings.lines if line["n"]]


def as_markdown(claims: Sequence[Claim]) -> str:
    """Claims as GitHub shows them, of one table or of several, with what the columns mean."""
    rows = [
        (
            claim.text,
            f"`{claim.command}`",
            _minutes(claim.minutes, claim.alone),
            f"{claim.tolerance:.2f}",
            claim.hardware,
        )
        for claim in claims
    ]
    return f"{markdown_table(HEADINGS, rows, left=2)}\n\n{LEGEND}\n"


def claims_page(findings: Findings) -> str:
    """What a table claims, under its heading, with the command that compares runs with records."""
    made = claims(findings)
    minutes = _minutes(sum(claim.minutes for claim in made), all(claim.alone for claim in made))
    return (
        f"### {findings.table.heading}\n\n{as_markdown(made)}"
        f"- All commands together: {minutes} minutes. `{_checking(findings)}` then compares what "
        f"they made with the records.\n"
    )


def _claim(findings: Findings, line: Line) -> Claim:
    table = findings.table
    runs = [run for run in findings.done if run.cell.row.name == line["model"]]
    said = {column.name: column.text(line) for column in COLUMNS}
    more = [f"95 %: {said['interval']}"] if said["interval"] else []
    more.append(f"n = {len(runs)}")
    if said["accuracy paper"] and table.dataset == table.published_dataset:
        more.append(f"paper: {said['accuracy paper']}")
    seeds = [run.record.test_accuracy for run in runs]
    tolerances = (tolerance_elsewhere(run.record, len(run.labels), seeds) for run in runs)
    return Claim(
        f"{line['model']}: test accuracy {said['accuracy']} % on {runs[0].cell.dataset} "
        f"({'; '.join(more)})",
        _training(table, line),
        sum(run.record.seconds for run in runs) / 60,
        line["alone"],
        100 * max(tolerances),
        line["hardware"],
    )


def _minutes(minutes: float, alone: bool) -> str:
    return in_minutes(minutes) + "*" * (not alone)


def _training(table: Table, line: Line) -> str:
    """Of the runs of which there are records, with the very recipe and changes."""
    seeds = ",".join(map(str, line["seeds"]))
    sweep = ["-m"] if len(line["seeds"]) > 1 else []
    asked = [f"recipe={line['recipe']}", f"seed={seeds}", *table.changes]
    return shlex.join(["reslab", "train", *sweep, *asked])


def _checking(findings: Findings) -> str:
    """Of the seeds of which there are records."""
    table = findings.table
    scale = table.publication.quick if table.quick else ()
    seeds = ",".join(map(str, dict.fromkeys(run.cell.seed for run in findings.done)))
    asked = [f"seed={seeds}", *(change for change in table.changes if change not in scale)]
    quick = ["--quick"] if table.quick else []
    return shlex.join(["reslab", "verify", table.publication.name, *quick, *asked])
