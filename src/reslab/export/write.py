"""Export: a file for other runtimes, proved equal to the checkpoint before it is kept."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from reslab.analysis.fold import fold_batch_norms
from reslab.classifier import Classifier
from reslab.errors import UserError
from reslab.export.read import KEY, SUFFIXES, missing_package, open_export, to_metadata
from reslab.preprocess import Preprocessing

BOUND = 1e-3  # largest difference of a logit, relative to the largest logit
OPSET = 20


class _FromPixels(nn.Module):
    """A network with the preprocessing of pixels before it."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing, self.network = preprocessing, network

    def forward(self, images: Tensor) -> Tensor:
        """uint8 `[B, C, H, W] -> [B, K]`."""
        return self.network(self.preprocessing(images))


def write_export(
    classifier: Classifier, kind: str, pixels: bool, images: Tensor, path: Path
) -> float:
    """Writes an export and compares it with the checkpoint on real images.

    Args:
        classifier: What to export; BatchNorms are folded into convolutions.
        kind: `onnx`, `torch` or `safetensors`.
        pixels: Whether the graph is to take pixels and normalize them.
        images: Real images, uint8 `[N, C, S, S]`, to compare on.
        path: Where to write; the ending is the format's.

    Returns:
        The largest difference of a logit, relative to the largest logit.

    Raises:
        UserError: A package is missing, or the export differs from the checkpoint; the file is
            then removed.
    """
    if pixels and kind == "safetensors":
        raise UserError("--pixels: safetensors holds weights alone, no graph to normalize in")
    description = classifier.description
    if classifier.network is None:
        raise UserError(f"{description.name} is an export already: export its run")
    folded = fold_batch_norms(classifier.network).to(memory_format=torch.contiguous_format)
    network: nn.Module = _FromPixels(folded, description.preprocessing) if pixels else folded
    example = torch.zeros(2, description.channels, description.size, description.size)
    if pixels:
        example = example.byte()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp{SUFFIXES[kind]}")
    path.unlink(missing_ok=True)  # an older export is not to pass for this one
    try:
        WRITERS[kind](network.eval(), example, to_metadata(description, pixels), temporary)
        difference = compare(classifier, temporary, images)
        temporary.replace(path)
    except ImportError as error:
        raise missing_package(error) from error
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever the exporters stumble over in a network or on a disk
        text = str(error).strip().partition("\n")[0]
        raise UserError(f"{description.name} cannot be exported as {kind}: {text}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return difference


def file_of(classifier: Classifier, kind: str, folder: Path) -> Path:
    """Where a run's export goes."""
    return folder / classifier.description.name / f"model{SUFFIXES[kind]}"


def compare(classifier: Classifier, path: Path, images: Tensor) -> float:
    """The largest difference of a logit, relative to the largest logit.

    Raises:
        UserError: It is above `BOUND`, or classes rank otherwise whose logits differ by more.
    """
    expected = classifier(images)
    export = open_export(path, torch.device("cpu"))
    actual = torch.cat([export(part) for part in (images[:1], images[1:]) if len(part)])
    scale = expected.abs().max()
    difference = float((actual - expected).abs().max() / scale)
    order = actual.argsort(1, descending=True)
    ranked = expected.gather(1, order)
    rises = float((ranked.diff(dim=1).max() / scale).clamp(min=0))
    right = bool((actual.argmax(1) == expected.argmax(1)).all())
    if not difference <= BOUND or not rises <= BOUND or not right:
        raise UserError(
            f"the export differs from the checkpoint (logits by {difference:.1e} of the largest, "
            f"{BOUND:.0e} is allowed; {'the' if right else 'another'} likeliest class): not kept"
        )
    return difference


def _write_onnx(network: nn.Module, example: Tensor, metadata: str, path: Path) -> None:
    import onnx
    import onnxscript  # noqa: F401  # torch's exporter needs it, and is to be missed by its name

    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={_first_argument(network): {0: torch.export.Dim.DYNAMIC}},
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, {KEY: metadata})
    onnx.save(model, path)


def _write_torch(network: nn.Module, example: Tensor, metadata: str, path: Path) -> None:
    shapes = {_first_argument(network): {0: torch.export.Dim.DYNAMIC}}
    program = torch.export.export(network, (example,), dynamic_shapes=shapes)
    for node in program.graph.nodes:  # they insist on the CPU, where another device does as well
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            program.graph.erase_node(node)
    torch.export.save(program, path, extra_files={KEY: metadata})


def _write_safetensors(network: nn.Module, example: Tensor, metadata: str, path: Path) -> None:
    import safetensors.torch

    weights = {name: weight.contiguous() for name, weight in network.state_dict().items()}
    safetensors.torch.save_file(weights, path, {KEY: metadata})


def _first_argument(network: nn.Module) -> str:
    import inspect

    return next(iter(inspect.signature(network.forward).parameters))


WRITERS: dict[str, Callable[[nn.Module, Tensor, str, Path], None]] = {
    "onnx": _write_onnx,
    "torch": _write_torch,
    "safetensors": _write_safetensors,
}
