"""Commands about runs and what they are made of."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, PATH, PATH_OR_NAME, RUNS, RUNS_DIR, cli
from reslab.errors import UserError

TO_HYDRA: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
    "add_help_option": False,
}


@cli.command(**TO_HYDRA, short_help="Train, or sweep with -m.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--from", "source", type=PATH)
@CONFIG_DIR
def train(arguments: tuple[str, ...], source: Path | None) -> None:
    """Hands everything to Hydra, its --help included."""
    from reslab.cli.app import train as app
    from reslab.cli.arguments import for_hydra
    from reslab.config import check_what_hydra_builds, search_path

    flags, overrides = for_hydra(arguments)
    if source is not None:
        overrides = _again(source, overrides)
    overrides = [*search_path(), *overrides]
    check_what_hydra_builds(overrides)
    sys.argv = ["reslab train", *flags, *overrides]
    app()


def _again(source: Path, changes: Sequence[str]) -> list[str]:
    from reslab.config import parse_overrides
    from reslab.runs.again import again
    from reslab.terminal.reporter import Terminal

    asked = {key: values[0] for key, _, values in parse_overrides(changes)}
    return again(str(source), changes, Path(asked.get("runs_dir", RUNS)), Terminal())


@cli.command()
@OVERRIDES
@click.option("--draw", type=PATH, help="Also draw it into this PNG or PDF.")
@CONFIG_DIR
def summary(overrides: tuple[str, ...], draw: Path | None) -> None:
    """Layers, shapes, parameters, multiply-accumulates and memory of a configuration's network."""
    from reslab.analysis.summary import count_parameters
    from reslab.config import compose
    from reslab.runs.check import check, try_network
    from reslab.runs.network import build_network
    from reslab.terminal.networks import print_layers

    cfg = compose(overrides)
    check(cfg)
    shape = (cfg.dataset.channels, cfg.dataset.size, cfg.dataset.size)
    network = build_network(cfg)
    layers = try_network(cfg, network)
    if draw:
        from reslab.analysis.diagram import draw_network

        draw_network(network, layers, draw)
    print_layers(layers, count_parameters(network), shape)
    if draw:
        click.echo(draw)


@cli.command()
@RUNS_DIR
@click.option("--by-seed", is_flag=True, help="One line for runs that differ in the seed alone.")
def runs(runs_dir: Path, by_seed: bool) -> None:
    """What is under outputs/runs, with state, time left and result."""
    from reslab.jobs.slurm_queue import settle
    from reslab.runs.store import list_runs
    from reslab.terminal.by_seed import print_runs_by_seed
    from reslab.terminal.runs import print_runs

    found = list_runs(runs_dir)
    settle(found)
    (print_runs_by_seed if by_seed else print_runs)(found, runs_dir)


@cli.command()
@click.argument("names", metavar="[RUN]...", nargs=-1, type=PATH_OR_NAME)
@RUNS_DIR
def watch(names: tuple[str, ...], runs_dir: Path) -> None:
    """Progress of what is running, or of RUNs, until all have ended; Ctrl-C ends the watching."""
    from reslab.runs.store import find_run, list_runs
    from reslab.terminal.watch import watch_runs

    chosen = [find_run(name, runs_dir) for name in names]
    if not watch_runs(lambda: chosen or [run for run in list_runs(runs_dir) if run.is_running()]):
        click.echo(f"nothing is running under {runs_dir}")


@cli.command()
@click.argument("names", metavar="RUN...", nargs=-1, required=True, type=PATH_OR_NAME)
@RUNS_DIR
def stop(names: tuple[str, ...], runs_dir: Path) -> None:
    """Have RUNs save and end, wherever their commands were given."""
    from reslab.runs.control import stop
    from reslab.runs.store import find_run
    from reslab.terminal.reporter import Terminal

    for run in [find_run(name, runs_dir) for name in names]:
        stop(run, Terminal())
        click.echo(f"{run.path}: {run.state()}; `reslab resume {run.name}` goes on")


@cli.command()
@click.argument("names", metavar="[RUN]...", nargs=-1, type=PATH_OR_NAME)
@click.option("--all-interrupted", is_flag=True, help="Every run that was interrupted, in turn.")
@RUNS_DIR
def resume(names: tuple[str, ...], all_interrupted: bool, runs_dir: Path) -> None:
    """Go on with RUNs as they were asked for, wherever their commands were given."""
    from reslab.runs.control import resume
    from reslab.runs.store import find_run, list_runs

    if bool(names) == all_interrupted:
        raise click.UsageError("name runs, or give --all-interrupted")
    chosen = [find_run(name, runs_dir) for name in names]
    if all_interrupted:
        chosen = [run for run in list_runs(runs_dir) if run.state() == "interrupted"]
        click.echo(f"{len(chosen)} interrupted under {runs_dir}", err=True)
    failed = 0
    for run in chosen:
        status = resume(run)
        if status > 128:  # it was told to stop, and so is the rest
            sys.exit(status)
        failed += status != 0
    if failed:  # of one run alone its own process has said so
        sys.exit(1 if len(chosen) == 1 else f"reslab: {failed} of {len(chosen)} runs failed")


@cli.command()
@click.argument("first", type=PATH_OR_NAME)
@click.argument("second", type=PATH_OR_NAME)
@RUNS_DIR
def diff(first: str, second: str, runs_dir: Path) -> None:
    """What sets two finished runs apart: configuration, code, environment, curves, images."""
    from reslab.runs.diff import diff
    from reslab.runs.store import find_run
    from reslab.terminal.runs import print_difference

    runs = find_run(first, runs_dir), find_run(second, runs_dir)
    print_difference(runs[0].name, runs[1].name, diff(*runs))


@cli.command()
@click.argument("name")
@OVERRIDES
@CONFIG_DIR
def data(name: str, overrides: tuple[str, ...]) -> None:
    """Fetch and verify a data set, and say what is in it."""
    from reslab.config import compose, instantiate
    from reslab.runs.build import prepare_data
    from reslab.runs.check import check
    from reslab.terminal.networks import print_data
    from reslab.terminal.reporter import Terminal

    cfg = compose([f"dataset={name}", *overrides])
    check(cfg)
    module = instantiate(cfg, "dataset")
    prepare_data(module, Terminal(), to_train=False)
    print_data(module)
    for remark in module.remarks:
        if remark.remedy:
            raise UserError(f"{remark.text}, so that no training begins: {remark.remedy}")
