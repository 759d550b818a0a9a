"""Commands that use a trained network."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from reslab.cli.group import DATA_DIR, PATH, PATH_OR_NAME, RUNS_DIR, cli, output_option

DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, gpu, cuda, cuda:1 or mps."
)
BATCH_SIZE = click.option(
    "--batch-size", type=click.IntRange(min=1), default=256, show_default=True
)


class Share(click.FloatRange):
    """A number from 0 to 1."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuses what is no number, too, which the range lets pass."""
        share = super().convert(value, param, ctx)
        if math.isnan(share):
            self.fail(f"{value!r} is not a number", param, ctx)
        return share


THRESHOLD = click.option(
    "--threshold",
    type=Share(0, 1),
    default=0.5,
    show_default=True,
    help="Confidence below which the answer is `uncertain`.",
)
COMPILE = click.option(
    "--compile",
    is_flag=True,
    help="Compile the network first, which takes a while; for many pictures, on a GPU above all.",
)
LATEST = click.option(
    "--latest", is_flag=True, help="Take the run's latest checkpoint in place of its best."
)
GRAD_CAM = click.option(
    "--grad-cam", is_flag=True, help="Also show where in each picture its class is seen."
)
TTA = click.option("--tta", is_flag=True, help="Average over each picture and its mirror image.")


@cli.command()
@click.argument("run", type=PATH_OR_NAME)
@click.argument("paths", nargs=-1, required=True, type=PATH)
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True)
@THRESHOLD
@click.option(
    "--output",
    type=PATH,
    help="Where to write; outputs/predictions/RUN by default.",
)
@click.option(
    "--labels",
    type=PATH_OR_NAME,
    help="The truth: `folders` for a folder a class, or a CSV file with a file, from the CSV's "
    "folder, and its class in each row, empty where it is not known; the first two columns have "
    "them, or those whose headings say so.",
)
@click.option("--format", "form", type=click.Choice(["kaggle"]), help="Also write ID,Labels.")
@TTA
@GRAD_CAM
@BATCH_SIZE
@DEVICE
@COMPILE
@LATEST
@RUNS_DIR
def predict(
    run: str,
    paths: tuple[Path, ...],
    top_k: int,
    threshold: float,
    form: str | None,
    tta: bool,
    grad_cam: bool,
    **asked: Any,
) -> None:
    """Ranked classes of pictures, or of all pictures below folders.

    RUN is a run's directory, its name, a unique part of its name, a copy of its best.ckpt, or an
    exported file. Ends with 1 if a file could not be predicted; its row in the results says why.
    """
    from reslab.reports.report import Options
    from reslab.terminal.outcome import print_outcome
    from reslab.terminal.reporter import Terminal
    from reslab.use import predict

    options = Options(top_k, threshold, tta, form == "kaggle", grad_cam)
    outcome = predict(run, paths, options=options, reporter=Terminal(), **asked)
    print_outcome(outcome)
    if failed := outcome.counts["failed"]:
        sys.exit(
            f"reslab: {failed} of {outcome.counts.total()} files could not be predicted; "
            f"{outcome.folder / 'predictions.csv'} says why"
        )


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=PATH_OR_NAME)
@THRESHOLD
@output_option("outputs/evaluation", "Where a folder for each run is written.")
@DATA_DIR
@TTA
@GRAD_CAM
@BATCH_SIZE
@DEVICE
@LATEST
@RUNS_DIR
def evaluate(
    runs: tuple[str, ...], threshold: float, tta: bool, grad_cam: bool, **asked: Any
) -> None:
    """Metrics, pictures and dashboard of RUNS on their test sets."""
    from reslab.reports.report import Options
    from reslab.terminal.outcome import print_outcome
    from reslab.terminal.reporter import Terminal
    from reslab.use import evaluate

    options = Options(threshold=threshold, mirror=tta, grad_cam=grad_cam)
    for run in runs:
        print_outcome(evaluate(run, options=options, reporter=Terminal(), **asked))


@cli.command()
@click.argument("run", type=PATH_OR_NAME)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "torch", "safetensors"]),
    default="onnx",
    show_default=True,
)
@click.option("--pixels", is_flag=True, help="Let the graph take pixels and normalize them.")
@output_option("outputs/exports", "The folder to write into.")
@DATA_DIR
@LATEST
@RUNS_DIR
def export(run: str, kind: str, **asked: Any) -> None:
    """A file for other runtimes, kept only if it computes what the checkpoint does.

    A model card is written beside it.
    """
    from reslab.terminal.outcome import print_exported
    from reslab.use import export

    print_exported(export(run, kind, **asked))
