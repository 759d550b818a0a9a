"""What the commands print."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from reslab.data import ImageData
from reslab.nn.summary import Layer
from reslab.runs.store import RunDirectory


def print_layers(layers: list[Layer], image_shape: tuple[int, int, int]) -> None:
    """A line a layer, and the sums."""
    table = Table(title=f"one image of {_shape(image_shape)}")
    for heading in ("Layer", "Kind", "Output", "Parameters", "MACs"):
        table.add_column(heading, justify="left" if heading in ("Layer", "Kind") else "right")
    for layer in layers:
        parameters, macs = (f"{n:,}" if n else "" for n in (layer.parameters, layer.macs))
        table.add_row(layer.name, layer.kind, _shape(layer.output), parameters, macs)
    console = Console()
    console.print(table)
    console.print(f"parameters: {sum(layer.parameters for layer in layers):,}", highlight=False)
    console.print(f"MACs:       {sum(layer.macs for layer in layers):,}", highlight=False)


def print_runs(runs: list[RunDirectory], folder: Path) -> None:
    """A line a run: state, epochs, accuracies, time."""
    if not runs:
        print(f"no runs under {folder}")
        return
    table = Table()
    headings = ("Run", "State", "Epochs", "Validation, %", "Test, %", "Minutes")
    for heading in headings:
        table.add_column(
            heading, justify="left" if heading in headings[:2] else "right", overflow="fold"
        )
    for run in runs:
        epochs = accuracy = minutes = ""
        record, test = run.record(), ""
        if record:
            epochs, accuracy = f"{record['epochs']}", f"{100 * record['val/accuracy']:.2f}"
            test, minutes = f"{100 * record['test/accuracy']:.2f}", f"{record['seconds'] / 60:.1f}"
        elif run.metrics_file.exists():
            history = pd.read_csv(run.metrics_file)
            best = 100 * history["val/accuracy"].max()
            epochs, accuracy = f"{len(history)}", f"{best:.2f}"
            minutes = f"{history['seconds'].sum() / 60:.1f}"
        table.add_row(run.name, run.state(), epochs, accuracy, test, minutes)
    Console().print(table)


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
