"""Commands about published tables."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reslab.cli.group import CONFIG_DIR, cli, output_option

if TYPE_CHECKING:
    from reslab.tables.collect import Result
    from reslab.tables.plan import Table

OUTPUT = output_option("outputs/tables", "Where tables are written.")
QUICK = click.option(
    "--quick", is_flag=True, help="At the small scale that the table's file names."
)
REFERENCE = "outputs/reference"


@cli.command()
@click.argument("table")
@click.argument("overrides", nargs=-1)
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
    from reslab.apps.reproduce import launch
    from reslab.tables.collect import collect
    from reslab.tables.estimate import print_plan
    from reslab.tables.plan import load_table
    from reslab.tables.reference import from_reference

    own = tuple(o for o in overrides if o.lstrip("+").startswith("hydra"))
    asked = tuple(o for o in overrides if o not in own)
    spec = load_table(table, asked, quick=quick)
    if plan:
        return print_plan(spec, collect(spec))
    reference = Path(REFERENCE)
    for failure in launch(spec, own, reference if keep else None):
        click.echo(f"reslab: failed: {failure}", err=True)
    _render(spec, from_reference(spec, reference) if keep else collect(spec), output)


@cli.command(name="table")
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option("--readme", type=click.Path(path_type=Path), help="Also insert it into this file.")
@click.option("--keep", is_flag=True, help=f"First copy the finished records to {REFERENCE}.")
@click.option("--reference", is_flag=True, help=f"From the records in {REFERENCE}, not from runs.")
@QUICK
@OUTPUT
@CONFIG_DIR
def render_table(
    table: str,
    overrides: tuple[str, ...],
    readme: Path | None,
    keep: bool,
    reference: bool,
    quick: bool,
    output: Path,
) -> None:
    """Render a published table from the runs at hand."""
    from reslab.markdown import insert_table
    from reslab.tables.collect import collect
    from reslab.tables.plan import load_table
    from reslab.tables.reference import from_reference, keep_records

    spec = load_table(table, overrides, quick=quick)
    if keep:
        for path in keep_records(spec, collect(spec), Path(REFERENCE)):
            click.echo(path)
    results = from_reference(spec, Path(REFERENCE)) if reference else collect(spec)
    _render(spec, results, output, complete=not reference)
    if readme:
        insert_table(readme, output / spec.place / "table.md")


@cli.command()
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
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
    from reslab.tables.collect import collect
    from reslab.tables.plan import load_table
    from reslab.tables.verify import FAIL, print_verdicts, verify

    spec = load_table(table, overrides, quick=quick)
    verdicts = verify(spec, collect(spec), reference)
    print_verdicts(spec, verdicts)
    if failed := sum(FAIL in (verdict.record, verdict.fresh) for verdict in verdicts):
        sys.exit(f"reslab: {failed} of {len(verdicts)} cells fail")


def _render(
    table: "Table", results: "list[Result]", output: Path, *, complete: bool = True
) -> None:
    from reslab.tables.render import render

    for path in render(table, results, output):
        click.echo(path)
    lacking = sum(result.record is None for result in results)
    if complete and lacking:
        sys.exit(f"reslab: {lacking} of {len(results)} cells are missing or failed")
