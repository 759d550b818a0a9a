"""A table's results as one file that stands alone."""

import hashlib
import sys
from pathlib import Path

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, PATH, cli
from reslab.cli.tables import QUICK, REFERENCE
from reslab.errors import UserError, in_one_line


class _TableOrCommand(click.Group):
    """`capsule TABLE` writes one: what is no command of the group's belongs to `write`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *context.help_option_names):
            args = ["write", *args]
        return super().parse_args(context, args)


@cli.group(cls=_TableOrCommand)
def capsule() -> None:
    """Write all that is behind a table into one zip, or check one.

    `reslab capsule TABLE` is short for `reslab capsule write TABLE`.
    """


@capsule.command()
@click.argument("table")
@OVERRIDES
@click.option("--reference", is_flag=True, help=f"From the records in {REFERENCE}, not from runs.")
@QUICK
@click.option(
    "--output", type=PATH, help="The file; outputs/capsules/<table>-<data set>.zip without it."
)
@CONFIG_DIR
def write(
    table: str, overrides: tuple[str, ...], reference: bool, quick: bool, output: Path | None
) -> None:
    """Write records, logits, configurations, code, pinned packages, table and pictures."""
    from reslab.terminal.reporter import Terminal

    try:
        from reslab.capsule.write import write_capsule
    except ImportError as error:
        if str(error.name).partition(".")[0] != "rocrate":
            raise
        raise UserError("rocrate is not installed: pip install 'reslab[capsule]'") from error
    path = write_capsule(
        table,
        overrides,
        quick=quick,
        reference=Path(REFERENCE) if reference else None,
        output=output,
        reporter=Terminal(),
    )
    _echo_digest(path)
    click.echo(path)


@capsule.command()
@click.argument("file", type=PATH)
def check(file: Path) -> None:
    """Check a capsule, whoever made it; nothing in it is run or imported.

    Ends with 1, and a line for each thing that is wrong.
    """
    from reslab.capsule.check import check_capsule
    from reslab.terminal.reporter import Terminal
    from reslab.terminal.tables import print_verification

    checkup = check_capsule(file, Terminal())
    if checkup.verification:
        print_verification(checkup.verification)
    for line in (*checkup.faults, *checkup.remarks):
        click.echo(in_one_line(line))
    _echo_digest(file)
    if wrong := checkup.wrong:
        more = f" (and {len(wrong) - 1} more, above)" if len(wrong) > 1 else ""
        sys.exit(f"reslab: {file}: {in_one_line(wrong[0])}{more}")


def _echo_digest(file: Path) -> None:
    """By which whoever published a capsule, and whoever got it, know whether it is the same."""
    with file.open("rb") as content:
        click.echo(f"SHA-256 {hashlib.file_digest(content, 'sha256').hexdigest()}")
