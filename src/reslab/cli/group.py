"""What the commands share: the group that they are in, and options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _add_folders(
    context: click.Context, parameter: click.Parameter, value: tuple[Path, ...]
) -> None:
    if value:
        from reslab.config import add_folder

        for folder in value:
            add_folder(folder)


CONFIG_DIR = click.option(
    "--config-dir",
    type=click.Path(path_type=Path),
    multiple=True,
    expose_value=False,
    callback=_add_folders,
    is_eager=True,
    help="A folder of your own with configuration groups, beside reslab's.",
)

RUNS_DIR = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default="outputs/runs",
    show_default=True,
    help="Where runs lie.",
)
DATA_DIR = click.option(
    "--data-dir", help="Where the data sets lie, if not where the run found them."
)


def output_option(default: str, text: str) -> Callable[[Any], Any]:
    """`--output`, the folder that a command writes into."""
    return click.option(
        "--output", type=click.Path(path_type=Path), default=default, show_default=True, help=text
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reslab")
def cli() -> None:
    """What do skip connections really buy? Residual learning on MNIST and CIFAR-10."""
