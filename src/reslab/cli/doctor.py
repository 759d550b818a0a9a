"""The command that looks at the machine."""

import sys
from pathlib import Path

import click

from reslab.cli.group import PATH, RUNS_DIR, cli

MARKS = {"fine": ("ok", "green"), "remark": ("note", "yellow"), "fault": ("FAULT", "red")}


@cli.command()
@RUNS_DIR
@click.option(
    "--data-dir", type=PATH, default="data", show_default=True, help="Where data sets lie."
)
def doctor(runs_dir: Path, data_dir: Path) -> None:
    """What could go wrong on this machine, and what to do about it; changes nothing.

    Ends with 1 where something would fail.
    """
    from reslab.doctor import examine

    failed = False
    for finding in examine(data_dir, runs_dir):
        mark, color = MARKS[finding.state]
        click.echo(f"{click.style(f'{mark:5}', fg=color)}  {finding.of}: {finding.text}")
        if finding.advice:
            click.echo(f"       -> {finding.advice}")
        failed |= finding.state == "fault"
    sys.exit(failed)
