"""The command that serves the browser's interface."""

from pathlib import Path

import click

from reslab.cli.group import CONFIG_DIR, PATH, RUNS_DIR, cli, existing_folder


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), default=8642, show_default=True)
@RUNS_DIR
@click.option(
    "--data-dir",
    type=PATH,
    default="data",
    show_default=True,
    callback=existing_folder,
    help="Where data sets lie, and folders of pictures.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at. Other than this machine's own, others may ask too.",
)
@CONFIG_DIR
def studio(port: int, runs_dir: Path, data_dir: Path, no_browser: bool, host: str) -> None:
    """Runs in the browser: watch, start, compare and use them; Ctrl-C ends it and no run.

    On another machine, forward its port: `ssh -L 8642:localhost:8642 MACHINE`.
    """
    from reslab.studio.server import serve
    from reslab.terminal.reporter import Terminal

    serve(runs_dir, host, port, browser=not no_browser, data_dir=data_dir, reporter=Terminal())
