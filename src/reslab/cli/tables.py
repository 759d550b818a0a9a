"""Commands about published tables."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reslab.cli.group import CONFIG_DIR, cli

if TYPE_CHECKING:
    from reslab.tables.spec import Table

OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="outputs/tables",
    show_default=True,
    help="Where tables are written.",
)


@cli.command()
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option(
    "--plan", is_flag=True, help="Only list the cells, which are done, and the time left."
)
@OUTPUT
@CONFIG_DIR
def reproduce(table: str, overrides: tuple[str, ...], plan: bool, output: Path) -> None:
    """Run what a published table lacks, then render it.

    OVERRIDES apply to every cell; `seed=0,1` chooses the seeds, `hydra/launcher=...` how to run.
    """
    from reslab.apps.reproduce import launch
    from reslab.tables.collect import collect
    from reslab.tables.plan import print_plan
    from reslab.tables.spec import load_table

    own = tuple(o for o in overrides if o.lstrip("+").startswith("hydra"))
    asked = tuple(o for o in overrides if o not in own)
    spec = load_table(table, asked)
    if plan:
        return print_plan(spec, collect(spec))
    for failure in launch(spec, own):
        click.echo(f"reslab: failed: {failure}", err=True)
    _render(spec, output)


@cli.command(name="table")
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option("--readme", type=click.Path(path_type=Path), help="Also insert it into this file.")
@OUTPUT
@CONFIG_DIR
def render_table(table: str, overrides: tuple[str, ...], readme: Path | None, output: Path) -> None:
    """Render a published table from the runs at hand."""
    from reslab.markdown import insert_table
    from reslab.tables.spec import load_table

    spec = load_table(table, overrides)
    _render(spec, output)
    if readme:
        insert_table(readme, output / spec.name / spec.dataset / "table.md")


def _render(table: "Table", output: Path) -> None:
    from reslab.tables.collect import collect
    from reslab.tables.render import render

    results = collect(table)
    for path in render(table, results, output):
        click.echo(path)
    if lacking := sum(result.record is None for result in results):
        sys.exit(f"reslab: {lacking} of {len(results)} cells are missing or failed")
