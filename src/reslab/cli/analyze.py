"""The commands that look into networks."""

from pathlib import Path
from typing import Any

import click

from reslab.cli.group import (
    CONFIG_DIR,
    DATA_DIR,
    OVERRIDES,
    PATH_OR_NAME,
    RUNS_DIR,
    cli,
    output_option,
)
from reslab.cli.use import BATCH_SIZE, DEVICE


@cli.command()
@click.argument(
    "words", nargs=-1, required=True, type=PATH_OR_NAME, metavar="RUN... KIND [KEY=VALUE]..."
)
@output_option("outputs/analyses", "Where a folder for the kind is written.")
@DATA_DIR
@BATCH_SIZE
@DEVICE
@RUNS_DIR
def analyze(words: tuple[str, ...], output: Path, **asked: Any) -> None:
    """What finished runs are like beyond their accuracy, side by side on one scale.

    KIND is `landscape`: the loss around the trained weights, along random directions; or
    `corruption`: how many test images are right when they are noisy, blurred, snowed on or moved.

    What was found is kept in each run's folder, so that it is found once; after Ctrl-C the same
    command goes on.
    """
    from reslab.analyze.kinds import KINDS, analyze
    from reslab.errors import UserError
    from reslab.terminal.reporter import Terminal

    at = next((at for at, word in enumerate(words) if word in KINDS), None)
    if at is None:
        raise UserError(f"name the kind of analysis behind the runs: {', '.join(KINDS)}")
    if at == 0:
        raise UserError(f"name a run before {words[0]}")
    done = analyze(
        words[:at], words[at], words[at + 1 :], output=output, reporter=Terminal(), **asked
    )
    for name, line in done.lines:
        print(f"{name}: {line}")
    for written in done.written:
        print(written)


@cli.command()
@OVERRIDES
@click.option(
    "--seeds",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="How often weights are drawn.",
)
@click.option(
    "--images",
    type=click.IntRange(2, 10_000),
    default=32,
    show_default=True,
    help="Training images in the batch.",
)
@output_option("outputs/flow", "Where a folder for the network is written.")
@CONFIG_DIR
def flow(overrides: tuple[str, ...], **asked: Any) -> None:
    """How gradients flow back through a network before training, with its skips and without.

    OVERRIDES are those of `train`; of several values each is a network in the same picture.
    """
    from reslab.analyze.flow import flow
    from reslab.terminal.reporter import Terminal

    found, written = flow(overrides, reporter=Terminal(), **asked)
    for one in found:
        print(f"{one.title}: {one}")
    for path in written:
        print(path)
