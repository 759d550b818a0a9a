"""What the commands about networks and data print."""

from typing import TYPE_CHECKING

from reslab.analysis.summary import Layer
from reslab.terminal.console import print_table

if TYPE_CHECKING:
    from reslab.data import ImageData  # Lightning's, for which a summary need not wait


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
    print(f"classes: {', '.join(data.class_names)}")
    print(f"mean {mean}; std {std}")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
