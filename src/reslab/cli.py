"""The commands. What they need is imported inside them, so that `--help` is instant."""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reslab.errors import UserError

if TYPE_CHECKING:
    from reslab.tables.spec import Table

OVERRIDES: dict[str, Any] = {
    "context_settings": {"ignore_unknown_options": True, "help_option_names": []},
    "add_help_option": False,
}

OUTPUT = click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="outputs/tables",
    show_default=True,
    help="Where tables are written.",
)


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reslab")
def cli() -> None:
    """What do skip connections really buy? Residual learning on MNIST and CIFAR-10."""


@cli.command(**OVERRIDES, short_help="Train, or sweep with -m.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@CONFIG_DIR
def train(arguments: tuple[str, ...]) -> None:
    """Hands everything to Hydra, its --help included."""
    from reslab.apps.train import train as app
    from reslab.config import search_path

    # Hydra's parser takes overrides in one row, behind its own flags.
    at = next((i for i, a in enumerate(arguments) if "=" in a and a[0] != "-"), len(arguments))
    sys.argv = ["reslab train", *arguments[:at], *search_path(), *arguments[at:]]
    app()


@cli.command()
@click.argument("overrides", nargs=-1)
@click.option("--draw", type=click.Path(path_type=Path), help="Also draw it into this PNG or PDF.")
@CONFIG_DIR
def summary(overrides: tuple[str, ...], draw: Path | None) -> None:
    """Layers, shapes, parameters, multiply-accumulates and memory of a configuration's network."""
    from reslab.config import compose, instantiate
    from reslab.nn.summary import count_parameters
    from reslab.runs.build import try_network
    from reslab.runs.request import check
    from reslab.terminal import print_layers

    cfg = compose(overrides)
    check(cfg)
    shape = (cfg.dataset.channels, cfg.dataset.size, cfg.dataset.size)
    network = instantiate(cfg, "model")
    layers = try_network(cfg, network)
    if draw:
        from reslab.tables.diagram import draw_network

        draw_network(network, layers, draw)
    print_layers(layers, count_parameters(network), shape)
    if draw:
        click.echo(draw)


@cli.command()
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option(
    "--plan", is_flag=True, help="Only list the cells, which are done, and the time left."
)
@OUTPUT
@CONFIG_DIR
def reproduce(table: str, overrides: tuple[str, ...], plan: bool, output: Path) -> None:
    """Run what a published table lacks, then render it.

    OVERRIDES apply to every cell; `seed=0,1` chooses the seeds, `hydra/launcher=...` how to run.
    """
    from reslab.apps.reproduce import launch
    from reslab.tables.collect import collect
    from reslab.tables.plan import print_plan
    from reslab.tables.spec import load_table

    own = tuple(o for o in overrides if o.lstrip("+").startswith("hydra"))
    asked = tuple(o for o in overrides if o not in own)
    spec = load_table(table, asked)
    if plan:
        return print_plan(spec, collect(spec))
    for failure in launch(spec, own):
        click.echo(f"reslab: failed: {failure}", err=True)
    _render(spec, output)


@cli.command(name="table")
@click.argument("table")
@click.argument("overrides", nargs=-1)
@click.option("--readme", type=click.Path(path_type=Path), help="Also insert it into this file.")
@OUTPUT
@CONFIG_DIR
def render_table(table: str, overrides: tuple[str, ...], readme: Path | None, output: Path) -> None:
    """Render a published table from the runs at hand."""
    from reslab.tables.readme import insert_table
    from reslab.tables.spec import load_table

    spec = load_table(table, overrides)
    _render(spec, output)
    if readme:
        insert_table(readme, output / spec.name / spec.dataset / "table.md")


def _render(table: "Table", output: Path) -> None:
    from reslab.tables.collect import collect
    from reslab.tables.render import render

    results = collect(table)
    for path in render(table, results, output):
        click.echo(path)
    if lacking := sum(result.record is None for result in results):
        sys.exit(f"reslab: {lacking} of {len(results)} cells are missing or failed")


@cli.command()
@click.option(
    "--runs-dir", type=click.Path(path_type=Path), default="outputs/runs", show_default=True
)
@click.option("--by-seed", is_flag=True, help="One line for runs that differ in the seed alone.")
def runs(runs_dir: Path, by_seed: bool) -> None:
    """What is under outputs/runs, with state and result."""
    from reslab.runs.store import list_runs
    from reslab.terminal import print_runs, print_runs_by_seed

    (print_runs_by_seed if by_seed else print_runs)(list_runs(runs_dir), runs_dir)


@cli.command()
@click.argument("name")
@click.argument("overrides", nargs=-1)
@CONFIG_DIR
def data(name: str, overrides: tuple[str, ...]) -> None:
    """Fetch and verify a data set, and say what is in it."""
    from reslab.config import compose, instantiate
    from reslab.runs.build import prepare_data
    from reslab.runs.request import check
    from reslab.terminal import print_data

    cfg = compose([f"dataset={name}", *overrides])
    check(cfg)
    module = instantiate(cfg, "dataset")
    prepare_data(module)
    print_data(module)


@cli.command()
@click.argument("task", type=click.Choice(["train", "predict"]))
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (a list on an axis).")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="outputs/bench",
    show_default=True,
    help="Where the figures are written.",
)
@click.option(
    "--readme", type=click.Path(path_type=Path), help="Also insert all figures written so far here."
)
@CONFIG_DIR
def bench(
    task: str, overrides: tuple[str, ...], as_json: bool, output: Path, readme: Path | None
) -> None:
    """Measure speed beside the usual script and a bare loop, in one go.

    OVERRIDES are a run's, and bench.seconds, bench.rounds, bench.batch_size, bench.num_images: one
    of the last two with several values is an axis.
    """
    from reslab.bench.compare import compare, parse_request
    from reslab.bench.report import insert_benchmarks, print_points, write_points

    request = parse_request(overrides)
    points = compare(task, request)
    named = ("recipe=", "dataset=", "model=", "ablation=", "trainer=")
    choices = [o.partition("=")[2].replace("/", "-") for o in overrides if o.startswith(named)]
    written = write_points(points, request.axis, output, "-".join([task, *choices]))
    if readme:
        insert_benchmarks(readme, output)
    if as_json:
        return click.echo(json.dumps(points if request.axis else points[0]))
    print_points(points)
    for path in written:
        click.echo(path)


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
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if "/hydra/" in traceback.extract_tb(error.__traceback__)[-1].filename:
        return str(error).partition("\n")[0]
    return None


if __name__ == "__main__":
    main()
