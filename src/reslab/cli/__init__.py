"""The commands. What they need is imported inside them, so that `--help` is instant."""

import gc
import os
import sys

import click

from reslab.cli import (  # noqa: F401  # registers them
    analyze,
    capsule,
    doctor,
    search,
    selftest,
    speed,
    studio,
    tables,
    training,
    use,
)
from reslab.cli.arguments import as_key
from reslab.cli.faults import in_a_line
from reslab.cli.group import cli
from reslab.cli.process import prepare_process
from reslab.errors import in_one_line, stop_behind


def main() -> None:
    """Runs a command; a fault of the user's is one line, `RESLAB_DEBUG=1` shows where it arose."""
    prepare_process()
    gc.set_threshold(50_000)  # imports make many objects and hardly any garbage: a tenth faster
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra is to raise, not to print
    try:
        status = cli(standalone_mode=False)
        sys.stdout.flush()  # as long as an error can be said
        sys.exit(status)
    except click.Abort:  # what click makes of Ctrl-C
        sys.exit(130)
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and (line := _meant_as_key(error)):
            sys.exit(f"reslab: {in_one_line(line)}")
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if stopped := stop_behind(error):
            sys.exit(stopped.code if isinstance(stopped, SystemExit) else 130)
        line = in_a_line(error)
        if line is None or os.environ.get("RESLAB_DEBUG") == "1":
            raise
        sys.exit(f"reslab: {in_one_line(line)}")


def _meant_as_key(error: click.NoSuchOption) -> str | None:
    takes_keys = error.ctx and any(one.name == "overrides" for one in error.ctx.command.params)
    return as_key(error.option_name, sys.argv) if takes_keys else None
