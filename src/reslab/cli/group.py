"""What the commands share: the group that they are in, and options."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from reslab.cli.arguments import as_overrides, at_home
from reslab.errors import UserError


class _UserPath(click.Path):
    """A path; `~` in it is the home."""

    def convert(self, value: Any, *context: Any) -> Any:
        return super().convert(at_home(os.fspath(value)), *context)


# Whether it can be read, and what it is, the work that it is given to knows.
PATH = _UserPath(path_type=Path, readable=False)
PATH_OR_NAME = _UserPath(path_type=str, readable=False)


def _as_overrides(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(as_overrides(value))


OVERRIDES = click.argument("overrides", nargs=-1, callback=_as_overrides)


def _add_folders(
    context: click.Context, parameter: click.Parameter, value: tuple[Path, ...]
) -> None:
    if value:
        from reslab.config import add_folder

        for folder in value:
            add_folder(folder)


CONFIG_DIR = click.option(
    "--config-dir",
    type=PATH,
    multiple=True,
    expose_value=False,
    callback=_add_folders,
    is_eager=True,
    help="A folder of your own with configuration groups, beside reslab's.",
)


def _no_file(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """A folder that is there, or that is made by what first writes into it."""
    nearest = next(one for one in (value, *value.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise UserError(f"{parameter.opts[0]} {value}: {nearest} is no folder")
    return value


def existing_folder(context: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """A folder that must be there if it is not the usual one, which may be made later.

    Raises:
        UserError: There is no such folder.
    """
    is_given = context.get_parameter_source(str(parameter.name)) != ParameterSource.DEFAULT
    if is_given and not value.is_dir():
        raise UserError(f"{parameter.opts[0]} {value}: there is no such folder")
    return value


RUNS = "outputs/runs"
RUNS_DIR = click.option(
    "--runs-dir",
    type=PATH,
    default=RUNS,
    show_default=True,
    callback=_no_file,
    help="Where runs lie.",
)
DATA_DIR = click.option(
    "--data-dir",
    type=PATH_OR_NAME,
    help="Where the data sets lie, if not where the run found them.",
)


def output_option(default: str, text: str) -> Callable[[Any], Any]:
    """`--output`, the folder that a command writes into."""
    return click.option("--output", type=PATH, default=default, show_default=True, help=text)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reslab")
def cli() -> None:
    """What do skip connections really buy? Residual learning on MNIST and CIFAR-10."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:  # libraries would say so in the middle of the work
        raise UserError(
            "no folder for temporary files can be written into: set TMPDIR to one that can"
        ) from error
