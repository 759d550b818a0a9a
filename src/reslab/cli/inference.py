"""Commands that use a trained network."""

import math
import sys
from pathlib import Path
from typing import Any

import click

from reslab.cli.group import DATA_DIR, RUNS_DIR, cli, output_option

DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1."
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
TTA = click.option("--tta", is_flag=True, help="Average over each picture and its mirror image.")


@cli.command()
@click.argument("run")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top-k", type=click.IntRange(min=1), default=5, show_default=True)
@THRESHOLD
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Where to write; outputs/predictions/RUN by default.",
)
@click.option(
    "--labels",
    help="The truth: `folders` for a folder a class, or a CSV file: its first column is a file, "
    "from the CSV's folder, its second the class, empty where it is not known; a line of headings "
    "may come first.",
)
@click.option("--format", "form", type=click.Choice(["kaggle"]), help="Also write ID,Labels.")
@TTA
@BATCH_SIZE
@DEVICE
@COMPILE
@RUNS_DIR
def predict(
    run: str, paths: tuple[Path, ...], output: Path | None, labels: str | None, **options: Any
) -> None:
    """Ranked classes of pictures, or of all pictures below folders.

    RUN is a run's directory, its name, a unique part of its name, or an exported file. Ends with 1
    if a file could not be predicted; its row in the results says why.
    """
    from reslab.pictures.find import find_pictures
    from reslab.pictures.labels import nothing_labelled, read_labels
    from reslab.predicting.load import load
    from reslab.predicting.predict import predict_files
    from reslab.reports.report import Options, check_output, report
    from reslab.terminal.outcome import print_outcome

    model = load(
        run,
        options["runs_dir"],
        device=options["device"],
        batch_size=options["batch_size"],
        compile=options["compile"],
    )
    model.check_tta(options["tta"])
    folder = output or Path("outputs/predictions") / model.description.name
    check_output(folder)
    truth = read_labels(labels, model.description.class_names) if labels else None
    total = labelled = 0
    for found in find_pictures(paths, leave_out=folder):
        total += 1
        labelled += truth is not None and truth(found.path) is not None
    if labels and not labelled:
        raise nothing_labelled(labels, model.description.class_names, total)
    stream = predict_files(
        model,
        find_pictures(paths, leave_out=folder),
        options["batch_size"],
        mirror=options["tta"],
        labels=truth,
    )
    asked = Options(
        options["top_k"], options["threshold"], options["tta"], options["form"] == "kaggle"
    )
    outcome = report(stream, total, model.description, asked, folder)
    print_outcome(outcome)
    if truth and labelled < total:
        click.echo(f"{total - labelled} of {total} files have no label")
    if failed := outcome.counts["failed"]:
        sys.exit(
            f"reslab: {failed} of {total} files could not be predicted; "
            f"{folder / 'predictions.csv'} says why"
        )


@cli.command()
@click.argument("runs", nargs=-1, required=True)
@THRESHOLD
@output_option("outputs/evaluation", "Where a folder for each run is written.")
@DATA_DIR
@TTA
@BATCH_SIZE
@DEVICE
@RUNS_DIR
def evaluate(runs: tuple[str, ...], output: Path, data_dir: str | None, **options: Any) -> None:
    """Metrics, pictures and dashboard of RUNS on their test sets."""
    from reslab.predicting.load import data_of, load
    from reslab.predicting.predict import predict_arrays
    from reslab.reports.report import Options, check_output, report
    from reslab.terminal.outcome import print_outcome

    for run in runs:
        model = load(
            run,
            options["runs_dir"],
            device=options["device"],
            batch_size=options["batch_size"],
        )
        model.check_tta(options["tta"])
        folder = output / model.description.name
        check_output(folder)
        data = data_of(model, data_dir)
        stream = predict_arrays(
            model,
            f"{data.name}-test",
            data.test_images,
            data.test_labels,
            options["batch_size"],
            mirror=options["tta"],
        )
        asked = Options(threshold=options["threshold"], mirror=options["tta"])
        print_outcome(report(stream, len(data.test_labels), model.description, asked, folder))


@cli.command()
@click.argument("run")
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
@RUNS_DIR
def export(
    run: str, kind: str, pixels: bool, output: Path, data_dir: str | None, runs_dir: Path
) -> None:
    """A file for other runtimes, kept only if it computes what the checkpoint does.

    A model card is written beside it.
    """
    from reslab.export.card import write_card
    from reslab.export.write import BOUND, export, file_of
    from reslab.predicting.load import data_of, load

    classifier = load(run, runs_dir)
    path = file_of(classifier, kind, output)
    images = data_of(classifier, data_dir).test_images[:256]
    difference = export(classifier, kind, pixels, images, path)
    click.echo(
        f"on {len(images)} test images: the same answers, logits within {difference:.1e} of the "
        f"largest ({BOUND:.0e} is allowed), and the same ranking but for classes that are closer"
    )
    click.echo(path)
    click.echo(write_card(classifier, path, pixels, difference, len(images)))
