"""What the commands about published tables print."""

import sys
from typing import TYPE_CHECKING, Any

from reslab.progress import in_words
from reslab.tables.columns import as_text, choose, choose_of_pairs
from reslab.tables.rendered import Rendered
from reslab.tables.stats import Comparison
from reslab.terminal.console import print_table

if TYPE_CHECKING:
    from reslab.apps.reproduce import Reproduction
    from reslab.tables.estimate import Outlook
    from reslab.tables.verify import Verdict, Verification


def print_reproduction(reproduction: "Reproduction") -> None:
    """What failed, the table, and how many cells a cluster has yet to run."""
    for failure in reproduction.failures:
        print(f"reslab: failed: {failure}", file=sys.stderr)
    print_rendered(reproduction.rendered)
    if queued := reproduction.queued:
        cells = f"{queued} of {reproduction.rendered.cells} cells"
        print(f"\n{cells} are queued or running; the same command shows where they stand")


def print_rendered(rendered: Rendered) -> None:
    """The table, and where it all is."""
    print_content(rendered.content)
    print_written(rendered)


def print_content(content: dict[str, Any]) -> None:
    """The table with its notes, as far as 80 columns hold it, to who waits for no pictures."""
    chosen = choose(content["rows"], content["columns"], terminal=True)
    print_table(content["title"], *as_text(chosen))
    if pairs := [Comparison(**pair) for pair in content["pairs"]]:
        differences = as_text(choose_of_pairs(pairs, terminal=True))
        print_table("differences on the same test images", *differences)
    print("\n".join(["", *(f"- {note}" for note in content["remarks"]), ""]), flush=True)


def print_written(rendered: Rendered) -> None:
    """Where it all is."""
    for path in rendered.written:
        print(path)


def print_outlook(outlook: "Outlook") -> None:
    """A line a cell: its state, its directory and the time it took or will take."""
    from reslab.tables.estimate import estimate_seconds, time_left

    results = outlook.results
    times = [in_words(seconds) for seconds in estimate_seconds(results)] or [""] * len(results)
    rows = []
    for result, time in zip(results, times, strict=True):
        cell, about = result.cell, "" if result.record or not time else "about "
        rows.append(
            (cell.row.name, str(cell.seed), result.state, about + time, cell.directory.name)
        )
    print_table(outlook.table.heading, ("Cell", "Seed", "State", "Time", "Run"), rows)
    rest = ""
    if outlook.done < len(results):
        rest = f"; {time_left(results) or 'none to tell the time of the rest from'}"
    print(f"\n{outlook.done} of {len(results)} cells are done{rest}")


def _logits(verdict: "Verdict") -> str:
    """How those of a run at hand were compared: to the bit, or by what was found and asked for."""
    if verdict.correlation is not None and verdict.least is not None:
        sign = "≥" if verdict.correlation >= verdict.least else "<"
        return f"{verdict.correlation:.3f} {sign} {verdict.least:.3f}"
    return "to the bit" if verdict.tolerance == 0 else ""


def print_verification(verification: "Verification") -> None:
    """A line a cell, what was compared, and below what fails."""
    from reslab.tables.verify import COMPARED  # with torch, for runs alone

    rows = [
        (
            one.row,
            str(one.seed),
            one.record,
            one.fresh,
            "" if one.tolerance is None else f"{100 * one.tolerance:.2f}",
            _logits(one),
        )
        for one in verification.verdicts
    ]
    headings = ("Cell", "Seed", "Record", "Run at hand", "Tolerance, pp", "Logits")
    print_table(verification.table.heading, headings, rows)
    if any(one.tolerance is not None for one in verification.verdicts):
        print(f"\n{COMPARED}\n")
    for one in verification.verdicts:
        for reason in one.reasons:
            print(f"{one.row}, seed {one.seed}: {reason}")
