"""What a trained network is used for: predictions, an evaluation, an export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.classifier import Classifier
from reslab.errors import UserError
from reslab.export.card import write_card
from reslab.export.write import file_of, write_export
from reslab.pictures.find import Skipped, find_pictures
from reslab.pictures.labels import read_labels
from reslab.predicting.engine import BATCH_SIZE
from reslab.predicting.load import data_of, load
from reslab.predicting.predict import predict_arrays, predict_files
from reslab.reporter import SILENT, Reporter
from reslab.reports.report import Options, Outcome, check_output, report

NUM_COMPARED = 256  # images on which an export is compared with its checkpoint


@dataclass(frozen=True)
class Exported:
    """An export that was proved equal to its checkpoint.

    Attributes:
        path: The file.
        card: The model card beside it.
        difference: The largest difference of a logit, relative to the largest logit.
        compared: On how many test images.
    """

    path: Path
    card: Path
    difference: float
    compared: int


def predict(
    what: str | Path,
    paths: Sequence[Path],
    *,
    output: Path | None = None,
    labels: str | None = None,
    options: Options | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    compile: bool = False,
    latest: bool = False,
    runs_dir: Path = Path("outputs/runs"),
    reporter: Reporter = SILENT,
) -> Outcome:
    """Predicts pictures, and all pictures below folders; writes results, metrics and a page.

    Args:
        what: The network, as `load` takes it.
        paths: Files and folders.
        output: Where to write; `outputs/predictions/RUN` by default.
        labels: The true classes, as `read_labels` takes them.
        options: What else is asked for.
        device: As `load` takes it, and likewise the next four.
        batch_size: Pictures computed at once.
        compile: Whether to compile the network first.
        latest: Whether to take a run's latest checkpoint in place of its best.
        runs_dir: Where runs lie.
        reporter: Told how far it is.

    Raises:
        UserError: What is asked for cannot be had; single files that cannot be read are part of the
            outcome.
    """
    options = options or Options()
    classifier = load(
        what, runs_dir, device=device, batch_size=batch_size, compile=compile, latest=latest
    )
    _check_mirroring(classifier, options)
    folder = output or Path("outputs/predictions") / classifier.name
    check_output(folder)
    skipped, files, total = Skipped(), [], 0
    for found in find_pictures(paths, leave_out=folder, skipped=skipped):
        total += 1
        if labels:
            files.append(found.path)
    truth = read_labels(labels, classifier.class_names, files, paths) if labels else None
    pictures = find_pictures(paths, leave_out=folder)
    stream = predict_files(
        classifier,
        pictures,
        batch_size,
        mirror=options.mirror,
        grad_cam=options.grad_cam,
        labels=truth,
    )
    about = classifier.description
    return report(stream, total, about, options, folder, reporter, skipped=skipped, labels=truth)


def evaluate(
    what: str | Path,
    *,
    output: Path = Path("outputs/evaluation"),
    data_dir: str | None = None,
    options: Options | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    latest: bool = False,
    runs_dir: Path = Path("outputs/runs"),
    reporter: Reporter = SILENT,
) -> Outcome:
    """Predicts the test set; writes results, metrics, pictures and a page below `output/RUN`.

    Args:
        what: The network, as `load` takes it.
        output: Where a folder for it is written.
        data_dir: Where the data sets lie, if not where the run found them.
        options: What else is asked for.
        device: As `load` takes it, and likewise the next three.
        batch_size: Images computed at once.
        latest: Whether to take a run's latest checkpoint in place of its best.
        runs_dir: Where runs lie.
        reporter: Told how far it is.

    Raises:
        UserError: What is asked for cannot be had, or the test set is not there.
    """
    options = options or Options()
    classifier = load(what, runs_dir, device=device, batch_size=batch_size, latest=latest)
    _check_mirroring(classifier, options)
    folder = output / classifier.name
    check_output(folder)
    data = data_of(classifier, data_dir, reporter)
    stream = predict_arrays(
        classifier,
        f"{data.name}-test",
        data.test_images,
        data.test_labels,
        batch_size,
        mirror=options.mirror,
        grad_cam=options.grad_cam,
    )
    total = len(data.test_labels)
    return report(stream, total, classifier.description, options, folder, reporter)


def export(
    what: str | Path,
    kind: str = "onnx",
    *,
    pixels: bool = False,
    output: Path = Path("outputs/exports"),
    data_dir: str | None = None,
    latest: bool = False,
    runs_dir: Path = Path("outputs/runs"),
) -> Exported:
    """Writes a network for other runtimes, and a model card beside it, below `output/RUN`.

    Args:
        what: The network, as `load` takes it.
        kind: `onnx`, `torch` or `safetensors`.
        pixels: Whether the graph is to take pixels and normalize them.
        output: Where a folder for it is written.
        data_dir: Where the data sets lie, if not where the run found them: the export is compared
            with the checkpoint on test images.
        latest: Whether to take a run's latest checkpoint in place of its best.
        runs_dir: Where runs lie.

    Raises:
        UserError: A package or the test set is missing, or the export differs from the checkpoint
            and is not kept.
    """
    classifier = load(what, runs_dir, latest=latest)
    images = data_of(classifier, data_dir).test_images[:NUM_COMPARED]
    path = file_of(classifier, kind, output)
    difference = write_export(classifier, kind, pixels, images, path)
    card = write_card(classifier, path, pixels, difference, len(images))
    return Exported(path, card, difference, len(images))


def _check_mirroring(classifier: Classifier, options: Options) -> None:
    """Refuses to average over mirror images where the network has not learned from such."""
    if options.mirror and not classifier.description.mirrored:
        raise UserError(
            f"--tta averages over mirror images, and {classifier.name} was not trained on such: it "
            f"would do harm"
        )
