"""Exported networks: files that need no run to be used."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab.analysis.fold import fold_batch_norms
from reslab.classifier import Classifier, Logits
from reslab.errors import UserError
from reslab.preprocess import resized
from reslab.runs.description import Description
from reslab.runs.load import network_of

KEY = "reslab"
SUFFIXES = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}

# What `torch.export.save` puts into its archive: tensors as bytes, JSON, and a sample of the input.
RAW = re.compile(r"data/(weights/weight|constants/tensor)_\d+|extra/\w+|[\w.]+(/\w+)?")
TENSOR = re.compile(r"(weight|tensor)_\d+")
SAMPLE = "data/sample_inputs/model.pt"
GRAPH = "models/model.json"
# In the graph torch looks functions up by their targets, evaluates expressions, and writes names
# into Python code; these are what networks have.
IN_GRAPH = {
    "target": re.compile(
        r"torch\.ops\.(aten\.(?!__)\w+\.(?!__)\w+|higher_order\.wrap_with_\w+)"
        r"|_operator\.getitem"
    ),
    "expr_str": re.compile(r"(Symbol\('\w+'(, (positive|integer)=True)*\)|\d+|[+* ()-])+"),
    "name": re.compile(r"[\w.]*"),
}


def to_metadata(description: Description, pixels: bool) -> str:
    """What an export carries beside its graph, as JSON.

    Args:
        description: The network's.
        pixels: Whether the graph takes pixels (uint8), not normalized images (fp32).
    """
    what = "uint8, 0 to 255" if pixels else "float32, (pixels / 255 - mean) / std"
    shape = f"[N, {description.channels}, {description.size}, {description.size}]"
    preprocessing = {
        "color": "gray" if description.channels == 1 else "RGB",
        "resize": f"the whole picture to {description.size}x{description.size}, bilinear, "
        "antialiased",
        "input": f"images {shape}, {what}",
        "output": f"logits [N, {len(description.class_names)}], float32; softmax them",
    }
    return json.dumps(description.as_json() | {"pixels": pixels, "preprocessing": preprocessing})


def open_export(path: Path, device: torch.device) -> Classifier:
    """Opens an exported file, by its ending.

    Raises:
        UserError: The file is none of reslab's exports, or a package is missing.
    """
    openers = {
        SUFFIXES["onnx"]: _open_onnx,
        SUFFIXES["torch"]: _open_torch,
        SUFFIXES["safetensors"]: _open_safetensors,
    }
    opener = openers.get(path.suffix)
    if opener is None:
        raise UserError(
            f"{path} is neither a run's folder, nor a checkpoint (.ckpt), nor an export "
            f"({', '.join(SUFFIXES.values())})"
        )
    try:
        metadata, ask = opener(path, device)
        description, pixels = _from_metadata(metadata, path)
    except ImportError as error:
        raise missing_package(error) from error
    except UserError:
        raise
    except Exception as error:  # whatever a foreign or damaged file makes the libraries raise
        raise UserError(f"{path} cannot be opened: {str(error).partition(chr(10))[0]}") from error
    prepare = description.preprocessing

    @torch.inference_mode()
    def logits(images: Tensor) -> Tensor:
        return ask(resized(images, description.size) if pixels else prepare(images))

    return Classifier(description, logits)


def _from_metadata(metadata: str | None, path: Path) -> tuple[Description, bool]:
    """The description, and whether the graph takes pixels."""
    if metadata is None:
        raise UserError(f"{path} was not exported by reslab: it does not name its classes")
    content: dict[str, Any] = json.loads(metadata)
    return Description.from_json(content), content["pixels"]


def missing_package(error: ImportError) -> UserError:
    """What to install."""
    return UserError(f"{error.name} is not installed: pip install 'reslab[export]'")


def _open_onnx(path: Path, device: torch.device) -> tuple[str | None, Logits]:
    import onnxruntime

    providers = ["CPUExecutionProvider"]
    if device.type == "cuda":
        providers.insert(0, "CUDAExecutionProvider")
    session = onnxruntime.InferenceSession(str(path), providers=providers)
    (images,) = session.get_inputs()

    def ask(batch: Tensor) -> Tensor:
        (logits,) = session.run(None, {images.name: np.ascontiguousarray(batch.numpy())})
        return torch.from_numpy(logits)

    return session.get_modelmeta().custom_metadata_map.get(KEY), ask


def _open_torch(path: Path, device: torch.device) -> tuple[str | None, Logits]:
    _refuse_code(path)
    extra = {KEY: ""}
    program = torch.export.load(str(path), extra_files=extra)
    network = program.module().to(device)
    return extra[KEY] or None, lambda batch: network(batch.to(device)).cpu()


def _refuse_code(path: Path) -> None:
    """Lets only raw tensors and a network's graph through: torch would run what else there is."""
    refusal = UserError(f"{path} holds more than tensors and a graph: refused")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if len({name.casefold() for name in names}) < len(names):
            raise refusal  # of two with one name torch may read the other one
        for name in names:
            inner = name.partition("/")[2]
            if inner.endswith("_config.json"):
                config = json.loads(archive.read(name))["config"]
                for entry in config.values():
                    if entry["use_pickle"] or not TENSOR.fullmatch(entry["path_name"]):
                        raise refusal
            elif inner == SAMPLE:
                try:
                    torch.load(io.BytesIO(archive.read(name)), weights_only=True)
                except pickle.UnpicklingError as error:
                    raise refusal from error
            elif inner == GRAPH:
                if not _is_a_network(json.loads(archive.read(name))):
                    raise refusal
            elif not RAW.fullmatch(inner):
                raise refusal


def _is_a_network(graph: Any) -> bool:
    """Whether what torch would look up, evaluate or write into code is what networks have."""
    if isinstance(graph, list):
        return all(map(_is_a_network, graph))
    if not isinstance(graph, dict):
        return True
    for key, allowed in IN_GRAPH.items():
        if isinstance(text := graph.get(key), str) and not allowed.fullmatch(text):
            return False
    return all(map(_is_a_network, graph.values()))


def _open_safetensors(path: Path, device: torch.device) -> tuple[str | None, Logits]:
    import safetensors
    import safetensors.torch

    with safetensors.safe_open(str(path), "pt") as file:
        metadata = (file.metadata() or {}).get(KEY)
    if metadata is None:
        return None, lambda batch: batch
    description, _ = _from_metadata(metadata, path)
    network = fold_batch_norms(network_of(description))
    network.load_state_dict(safetensors.torch.load_file(str(path)))
    network.to(device)
    return metadata, lambda batch: network(batch.to(device)).cpu()
