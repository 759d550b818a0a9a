"""The commands. What they need is imported inside them, so that `--help` is instant."""

import gc
import os
import sys
import traceback

import click

from reslab.cli import speed, tables, training, use  # noqa: F401  # registers them
from reslab.cli.arguments import as_key
from reslab.cli.group import cli
from reslab.cli.process import prepare_process
from reslab.errors import UserError, stop_behind


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
            sys.exit(f"reslab: {line}")
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if stopped := stop_behind(error):
            sys.exit(stopped.code if isinstance(stopped, SystemExit) else 130)
        line = _explain(error)
        if line is None or os.environ.get("RESLAB_DEBUG") == "1":
            raise
        sys.exit(f"reslab: {line}")


def _meant_as_key(error: click.NoSuchOption) -> str | None:
    takes_keys = error.ctx and any(one.name == "overrides" for one in error.ctx.command.params)
    return as_key(error.option_name, sys.argv) if takes_keys else None


def _explain(error: Exception) -> str | None:
    """One line for an error that a user can cause, None for one of ours."""
    if isinstance(error, UserError):
        return str(error)
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from reslab.config import explain

        return explain(error, sys.argv[1:])
    last = traceback.extract_tb(error.__traceback__)[-2:]
    if isinstance(error, UnicodeDecodeError) and any("/matplotlib/" in at.filename for at in last):
        return f"matplotlibrc, in this folder, is no UTF-8: {error}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if "/hydra/" in traceback.extract_tb(error.__traceback__)[-1].filename:
        return str(error).partition("\n")[0]
    return None
