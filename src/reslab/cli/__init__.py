"""The commands. What they need is imported inside them, so that `--help` is instant."""

import gc
import os
import signal
import sys
import traceback

import click

from reslab.cli import speed, tables, training, use  # noqa: F401  # registers them
from reslab.cli.group import cli
from reslab.errors import UserError, stop_behind


def main() -> None:
    """Runs a command; a fault of the user's is one line, `RESLAB_DEBUG=1` shows where it arose."""
    for signum in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        if signal.getsignal(signum) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signum, lambda signum, frame: sys.exit(128 + signum))
    gc.set_threshold(50_000)  # imports make many objects and hardly any garbage: a tenth faster
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra is to raise, not to print
    try:
        sys.exit(cli(standalone_mode=False))
    except click.Abort:  # what click makes of Ctrl-C
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if stopped := stop_behind(error):
            sys.exit(stopped.code if isinstance(stopped, SystemExit) else 130)
        line = _explain(error)
        if line is None or os.environ.get("RESLAB_DEBUG") == "1":
            raise
        sys.exit(f"reslab: {line}")


def _explain(error: Exception) -> str | None:
    """One line for an error that a user can cause, None for one of ours."""
    if isinstance(error, UserError):
        return str(error)
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from reslab.config import explain

        return explain(error, sys.argv[1:])
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if "/hydra/" in traceback.extract_tb(error.__traceback__)[-1].filename:
        return str(error).partition("\n")[0]
    return None
