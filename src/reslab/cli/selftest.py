"""The command that proves on this machine what is promised of a killed run."""

import random
import shlex
import sys

import click

from reslab.cli.group import CONFIG_DIR, OVERRIDES, cli


@cli.command()
@OVERRIDES
@click.option(
    "--draw", type=click.IntRange(min=0), help="Draws the same step again; any other by default."
)
@CONFIG_DIR
def selftest(overrides: tuple[str, ...], draw: int | None) -> None:
    """Kill a short run at a random step, resume it, and compare it with one that was not killed.

    OVERRIDES say what is to be proved, as trainer=gpu does. Changes nothing here; ends with 1
    where the bits differ.
    """
    from reslab.selftest import prove
    from reslab.terminal.reporter import Terminal

    draw = random.SystemRandom().randrange(10**6) if draw is None else draw
    proof = prove(overrides, draw, Terminal())
    record, where = proof.record, proof.record.provenance
    same = not proof.differences
    mark = click.style("the same bits" if same else "OTHER BITS", fg="green" if same else "red")
    click.echo(f"{mark}: killed with step {proof.step} of {proof.steps} saved, and gone on with")
    for difference in proof.differences:
        click.echo(f"  differs    {difference}")
    if same:
        click.echo(
            "  compared   weights, optimizer, random states, metrics, gradients, predictions"
        )
    devices = f"; {where.world_size} devices" if where.world_size > 1 else ""
    for name, text in {
        "device": f"{where.device}, {where.hardware}{devices}",
        "precision": where.precision,
        "trainer": proof.trainer,
        "threads": where.threads,
        "torch": where.versions["torch"],
        "run": f"{record.dataset}, {record.model}, seed {record.seed}",
        "again": shlex.join(["reslab", "selftest", *overrides, f"--draw={proof.draw}"]),
    }.items():
        click.echo(f"  {name:10} {text}")
    if not where.exact:
        click.echo("  the same bits are not promised there: trainer=exact computes alike each time")
    if not same:
        sys.exit("reslab: a run that was killed went on to other bits than one that was not")
