"""What the commands about networks and data print."""

from typing import TYPE_CHECKING

from reslab.analysis.summary import Layer
from reslab.terminal.console import print_table

if TYPE_CHECKING:
    from reslab.data import ImageData  # Lightning's, for which a summary need not wait

IMBALANCED = 1.5  # times as many images, from where on it is said


def print_layers(
    layers: list[Layer], num_parameters: int, image_shape: tuple[int, int, int]
) -> None:
    """A line a layer, and the sums."""
    rows = [
        (
            layer.name,
            layer.kind,
            _shape(layer.output),
            f"{layer.parameters:,}" if layer.parameters else "",
            f"{layer.macs:,}" if layer.macs else "",
            f"{layer.activation_bytes / 1024:,.1f}" if layer.activation_bytes else "",
        )
        for layer in layers
    ]
    title = f"one image of {_shape(image_shape)}"
    headings = ("Layer", "Kind", "Output", "Parameters", "MACs", "KiB")
    print_table(title, headings, rows)
    activations = sum(layer.activation_bytes for layer in layers)
    print(f"parameters: {num_parameters:,}")
    print(f"MACs:       {sum(layer.macs for layer in layers):,}")
    print(f"activations: {activations / 2**20:.2f} MiB in fp32 (KiB above; nothing if in place)")


def print_data(data: "ImageData") -> None:
    """What a data set holds."""
    sizes = ", ".join(
        f"{len(getattr(data, f'{split}_labels')):,} {word}"
        for split, word in [("train", "training"), ("val", "validation"), ("test", "test")]
    )
    mean, std = (
        ", ".join(f"{value:.4f}" for value in values.flatten().tolist())
        for values in (data.normalization.mean, data.normalization.std)
    )
    unverified = data.source.unverified(data.data_dir)
    state = f"not verified: {', '.join(unverified)}" if unverified else "verified"
    print(f"{data.name}: {state}; {sizes} images of {_shape(data.image_shape)}")
    print(f"mean {mean}; std {std}")
    for line in (line for remark in data.remarks for line in remark.lines()):
        print(line)
    _print_classes(data)
    if data.too_large_a_batch:
        print(data.too_large_a_batch)


def _print_classes(data: "ImageData") -> None:
    """Images of each class, and whether their numbers are far apart."""
    labels = data.train_labels, data.val_labels, data.test_labels
    counts = [one.bincount(minlength=data.num_classes).tolist() for one in labels]
    rows = [
        (name, *(f"{number:,}" for number in numbers))
        for name, *numbers in zip(data.class_names, *counts, strict=True)
    ]
    print_table(None, ("Class", "Training", "Validation", "Test"), rows)
    most, least = max(counts[0]), min(counts[0])
    if most >= IMBALANCED * least > 0:
        print(
            f"the largest class has {most / least:.1f} times the training images of the smallest: "
            f"class_weights=balanced has each class count alike"
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
