"""The command that measures speed."""

import json
from pathlib import Path

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, PATH, cli, output_option


@cli.command()
@click.argument("task", type=click.Choice(["train", "predict"]))
@OVERRIDES
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (a list on an axis).")
@output_option("outputs/bench", "Where the figures are written.")
@click.option("--readme", type=PATH, help="Also insert all figures written so far here.")
@CONFIG_DIR
def bench(
    task: str, overrides: tuple[str, ...], as_json: bool, output: Path, readme: Path | None
) -> None:
    """Measure speed beside the usual script and a bare loop, in one go.

    OVERRIDES are a run's, and bench.seconds, bench.rounds, bench.batch_size, bench.num_images: one
    of the last two with several values is an axis. bench.files=true predicts PNG files.
    """
    from reslab.bench.compare import compare, parse_request
    from reslab.bench.report import (
        check_places,
        file_name,
        insert_benchmarks,
        write_points,
    )
    from reslab.bench.wording import HEADINGS, as_text
    from reslab.terminal.console import print_table
    from reslab.terminal.reporter import Terminal

    request = parse_request(overrides)
    name = file_name(task, [*request.overrides, *request.given()])
    check_places(output, readme)
    points = []
    for point in compare(task, request, Terminal()):
        points.append(point)  # written at once: the next may be too much for the memory
        written = write_points(points, request.axis, output, name)
    if as_json:
        click.echo(json.dumps(points if request.axis else points[0]))
    else:
        title, rows, notes = as_text(points)
        print_table(title, HEADINGS, rows)
        for line in (*notes, *written):
            click.echo(line)
    if readme:
        insert_benchmarks(readme, output)
