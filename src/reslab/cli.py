"""The commands. What they need is imported inside them, so that `--help` is instant."""

import os
import signal
import sys
from typing import Any

import click

from reslab.errors import UserError

OVERRIDES: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
    "add_help_option": False,
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reslab")
def cli() -> None:
    """What do skip connections really buy? Residual learning on MNIST and CIFAR-10."""


@cli.command(**OVERRIDES, short_help="Train, or sweep with -m.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def train(arguments: tuple[str, ...]) -> None:
    """Hands everything to Hydra, its --help included."""
    from reslab.apps.train import train as app

    sys.argv = ["reslab train", *arguments]
    app()


def main() -> None:
    """Runs a command; a fault of the user's is one line, `RESLAB_DEBUG=1` shows where it arose."""
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra is to raise, not to print
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
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
    return None


