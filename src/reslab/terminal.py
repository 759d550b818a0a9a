"""What the commands print."""

from pathlib import Path

import pandas as pd

from reslab.console import print_table
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.nn.summary import Layer
from reslab.runs.store import RunDirectory


def print_layers(layers: list[Layer], image_shape: tuple[int, int, int]) -> None:
    """A line a layer, and the sums."""
    rows = [
        (
            layer.name,
            layer.kind,
            _shape(layer.output),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
        )
        for layer in layers
    ]
    title = f"one image of {_shape(image_shape)}"
    print_table(title, ("Layer", "Kind", "Output", "Parameters", "MACs"), rows)
    print(f"parameters: {sum(layer.parameters for layer in layers):,}")
    print(f"MACs:       {sum(layer.macs for layer in layers):,}")


def print_runs(runs: list[RunDirectory], folder: Path) -> None:
    """A line a run: state, epochs, best validation and test accuracy, time."""
    if not runs:
        print(f"no runs under {folder}")
        return
    headings = ("Run", "State", "Epochs", "Val, %", "Test, %", "Min")
    print_table(None, headings, [(run.name, run.state(), *_results(run)) for run in runs])


def _results(run: RunDirectory) -> tuple[str, str, str, str]:
    try:
        history, record = pd.read_csv(run.metrics_file), run.record()
    except (OSError, ValueError, UserError):  # not there yet, or spoilt: there is nothing to show
        return "", "", "", ""
    val = record["val/accuracy"] if record else history["val/accuracy"].max()
    test = f"{100 * record['test/accuracy']:.2f}" if record else ""
    return f"{len(history)}", f"{100 * val:.2f}", test, f"{history['seconds'].sum() / 60:.1f}"


def print_data(data: ImageData) -> None:
    """What a data set holds."""
    sizes = ", ".join(
        f"{len(getattr(data, f'{split}_labels')):,} {word}"
        for split, word in [("train", "training"), ("val", "validation"), ("test", "test")]
    )
    mean, std = (
        ", ".join(f"{value:.4f}" for value in values.flatten().tolist())
        for values in (data.normalization.mean, data.normalization.std)
    )
    print(f"{data.name}: verified; {sizes} images of {_shape(data.image_shape)}")
    print(f"classes: {', '.join(data.class_names)}")
    print(f"mean {mean}; std {std}")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
