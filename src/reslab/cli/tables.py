"""Commands about published tables."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, PATH, cli, output_option

if TYPE_CHECKING:
    from reslab.tables.rendered import Rendered

OUTPUT = output_option("outputs/tables", "Where tables are written.")
QUICK = click.option(
    "--quick", is_flag=True, help="At the small scale that the table's file names."
)
REFERENCE = "outputs/reference"


@cli.command()
@click.argument("table")
@OVERRIDES
@click.option(
    "--plan", is_flag=True, help="Only list the cells, which are done, and the time left."
)
@click.option(
    "--keep", is_flag=True, help=f"Copy each record to {REFERENCE}; run nothing that is there."
)
@QUICK
@OUTPUT
@CONFIG_DIR
def reproduce(
    table: str, overrides: tuple[str, ...], plan: bool, keep: bool, quick: bool, output: Path
) -> None:
    """Run what a published table lacks, then render it.

    OVERRIDES apply to every cell; `seed=0,1` chooses the seeds, `hydra/launcher=...` how to run.
    """
    from reslab.apps import reproduce as app
    from reslab.terminal.reporter import Terminal
    from reslab.terminal.tables import print_outlook, print_reproduction

    if plan:
        return print_outlook(app.plan(table, overrides, quick=quick))
    reference = Path(REFERENCE) if keep else None
    reproduction = app.reproduce(
        table, overrides, quick=quick, keep=reference, output=output, reporter=Terminal()
    )
    print_reproduction(reproduction)
    if not reproduction.is_in_the_queue:
        _exit_if_incomplete(reproduction.rendered)


@cli.command(name="table")
@click.argument("table")
@OVERRIDES
@click.option(
    "--readme",
    type=PATH,
    multiple=True,
    help="Also insert it into this Markdown file; may be repeated.",
)
@click.option("--keep", is_flag=True, help=f"First copy the finished records to {REFERENCE}.")
@click.option("--reference", is_flag=True, help=f"From the records in {REFERENCE}, not from runs.")
@QUICK
@OUTPUT
@CONFIG_DIR
def render_table(
    table: str,
    overrides: tuple[str, ...],
    readme: tuple[Path, ...],
    keep: bool,
    reference: bool,
    quick: bool,
    output: Path,
) -> None:
    """Render a published table from the runs at hand."""
    from reslab.tables.make import render_table
    from reslab.terminal.reporter import Terminal
    from reslab.terminal.tables import print_content, print_written

    rendered = render_table(
        table,
        overrides,
        quick=quick,
        keep=Path(REFERENCE) if keep else None,
        reference=Path(REFERENCE) if reference else None,
        output=output,
        pages=readme,
        reporter=Terminal(),
        show=print_content,
    )
    print_written(rendered)
    if not reference:
        _exit_if_incomplete(rendered)


@cli.command()
@click.argument("table")
@OVERRIDES
@click.option(
    "--reference",
    type=PATH,
    default=REFERENCE,
    show_default=True,
    help="Where the committed records lie.",
)
@QUICK
@CONFIG_DIR
def verify(table: str, overrides: tuple[str, ...], reference: Path, quick: bool) -> None:
    """Compare the runs at hand with the committed records, and these with themselves.

    Ends with 1 if a cell fails; a cell that was not run, here or there, is MISSING.
    """
    from reslab.tables.verify import verify
    from reslab.terminal.tables import print_verification

    verification = verify(table, overrides, quick=quick, reference=reference)
    print_verification(verification)
    if failed := verification.failed:
        sys.exit(f"reslab: {failed} of {len(verification.verdicts)} cells fail")


def _exit_if_incomplete(rendered: "Rendered") -> None:
    if rendered.missing:
        cells = f"{rendered.missing} of {rendered.cells} cells"
        sys.exit(f"reslab: {cells} are missing, failed or damaged")
