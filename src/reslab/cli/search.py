"""Searching for the best values of a configuration."""

import shlex

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, cli
from reslab.errors import UserError


@cli.command()
@OVERRIDES
@CONFIG_DIR
def search(overrides: tuple[str, ...]) -> None:
    """Search for the values with which a run does best on validation.

    OVERRIDES are those of `reslab train`. What has bounds is chosen for each trial:
    log(1e-4,1e-1), uniform(0,0.5), int(1,8), range(8,65,8), or values separated by commas.
    search.trials says how many, search/sampler and search/pruner how. hydra/launcher=local runs
    hydra.launcher.slots of them at a time, hydra/launcher=slurm as jobs of a cluster. The same
    command goes on, in several terminals too.
    """
    from reslab.terminal.reporter import Terminal

    try:
        from reslab.search.app import search as run_search
    except ImportError as error:
        if str(error.name).partition(".")[0] != "optuna":
            raise
        raise UserError("optuna is not installed: pip install 'reslab[search]'") from error
    found = run_search(overrides, Terminal())
    best, record = found.best, found.record
    click.echo(
        f"trial {best.number} is the best: {found.monitor} {best.value:.4f}, "
        f"test accuracy {record.test_accuracy:.2%}"
    )
    click.echo(f"  {' '.join(found.overrides)}")
    click.echo(found.directory.path)
    for path in found.written:
        click.echo(path)
    click.echo(shlex.join(found.command))
