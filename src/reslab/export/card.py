"""A model card: what an export is, how it came to be, and what it is not good for."""

from pathlib import Path
from typing import Any

from reslab.classifier import Classifier
from reslab.evaluation.metrics import summarize
from reslab.evaluation.predictions import of_logits
from reslab.export.front_matter import front_matter
from reslab.export.read import SUFFIXES
from reslab.files import write_atomically
from reslab.markdown import markdown_table
from reslab.runs.description import Description

FROM_PIXELS = "pixels.astype(np.uint8)"
NORMALIZED = """(pixels / 255 - {mean}) / {std}"""

CODE = """\
import sys

import numpy as np
{packages}

classes = {classes}
picture = Image.open(sys.argv[1]).convert("{mode}")
picture = picture.resize(({size}, {size}), Image.Resampling.BILINEAR)
pixels = np.asarray(picture, np.float32).reshape(1, {size}, {size}, {channels})
pixels = pixels.transpose(0, 3, 1, 2)
{ask}
probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
print(classes[probabilities.argmax()], probabilities.max())
"""

ONNX_PACKAGES = """\
import onnxruntime
from PIL import Image"""
ONNX = """\
images = {images}
logits = onnxruntime.InferenceSession("{file}").run(None, {{"images": images}})[0][0]"""

TORCH_PACKAGES = """\
import torch
from PIL import Image"""
TORCH = """\
images = torch.from_numpy({images})
logits = torch.export.load("{file}").module()(images)[0].detach().numpy()"""

SAFETENSORS_PACKAGES = """\
import torch
from PIL import Image

import reslab"""
SAFETENSORS = """\
# Weights alone, BatchNorms folded into the convolutions; the network is in the file's metadata.
classifier = reslab.load("{file}")
logits = classifier(torch.from_numpy(pixels.astype(np.uint8)))[0].numpy()"""


def write_card(
    classifier: Classifier, export: Path, pixels: bool, difference: float, compared: int
) -> Path:
    """Writes a Markdown file beside an export, from the run's record, as model hubs read it.

    Args:
        classifier: What was exported.
        export: The file.
        pixels: Whether it takes pixels.
        difference: The largest difference of a logit, relative to the largest logit.
        compared: On how many images.
    """
    about = classifier.description
    parts = [
        front_matter(about, export.suffix),
        f"# {about.name}",
        f"A network that tells {len(about.class_names)} classes of {about.dataset} apart, trained "
        f"and exported with reslab.",
        f"## Use\n\n{_use(about, export, pixels)}",
        f"It computes what the checkpoint does: on {compared} test images the same answers, logits "
        f"within {difference:.1e} of the largest.",
        f"## Data\n\n{_data(about)}",
        f"## Training\n\n{_training(about)}",
        f"## Results\n\n{_results(classifier)}",
        f"## Limits\n\n{_limits(about)}",
    ]
    path = export.with_name(f"{export.name}.md")
    write_atomically(path, ("\n\n".join(parts) + "\n").encode())
    return path


def _use(about: Description, export: Path, pixels: bool) -> str:
    mean, std = (list(values) for values in (about.mean, about.std))
    shape = f"({about.channels}, 1, 1)"
    normalized = NORMALIZED.format(
        mean=f"np.array({mean}, np.float32).reshape{shape}",
        std=f"np.array({std}, np.float32).reshape{shape}",
    )
    what = "pixels, uint8" if pixels else "(pixels / 255 - mean) / std, float32"
    packages, ask = {
        SUFFIXES["onnx"]: (ONNX_PACKAGES, ONNX),
        SUFFIXES["torch"]: (TORCH_PACKAGES, TORCH),
        SUFFIXES["safetensors"]: (SAFETENSORS_PACKAGES, SAFETENSORS),
    }[export.suffix]
    code = CODE.format(
        packages=packages,
        classes=list(about.class_names),
        mode="L" if about.channels == 1 else "RGB",
        size=about.size,
        channels=about.channels,
        ask=ask.format(images=FROM_PIXELS if pixels else normalized, file=export.name),
    )
    return (
        f"Images are `[N, {about.channels}, {about.size}, {about.size}]`: {what}; mean {mean}, std "
        f"{std}. The whole picture is resized, bilinear and antialiased. The output are logits "
        f"`[N, {len(about.class_names)}]`.\n\n```python\n{code}```\n\n"
        f"`reslab predict {export.name} PICTURE...` does all of it, and what this code leaves out: "
        f"it lays transparency over white, scales 16 bits, and turns pictures as EXIF says."
    )


def _data(about: Description) -> str:
    digest = about.record.provenance.data_digest if about.record else "unknown"
    if (about.data or {}).get("validate_on_test"):
        chosen = "The best epoch was chosen on the test set itself, so its accuracy is flattered."
    else:
        chosen = (
            "The best epoch was chosen on a validation split held out of the training set; the "
            "test set was read at the end and chose nothing."
        )
    return (
        f"{about.dataset}, classes: {', '.join(about.class_names)}. {chosen} SHA-256 of all images "
        f"and labels: `{digest}`."
    )


def _training(about: Description) -> str:
    record = about.record
    if record is None:
        return "The run is not finished; this is its best epoch so far."
    rows = {
        "Recipe": record.recipe or "none",
        "Overrides": " ".join(record.overrides) or "none",
        "Seed": record.seed,
        "Epochs": f"{record.epochs}, of which {record.best_epoch} was the best",
        **({"Extension": str(record.extends)} if record.extends else {}),
        "Parameters": f"{record.parameters:,}",
        "Multiply-accumulates an image": f"{record.macs:,}",
        "Time": f"{record.seconds / 60:.1f} min on {record.provenance.hardware}",
        "Precision": record.provenance.precision,
        "Commit": record.provenance.git or "unknown",
        "Versions": ", ".join(f"{k} {v}" for k, v in record.provenance.versions.items()),
    }
    return _facts(rows)


def _results(classifier: Classifier) -> str:
    record = classifier.record
    if record is None:
        return "None yet: the run is not finished."
    test = {"Test accuracy": f"{record.test_accuracy:.2%}"}
    validation = {"Validation accuracy": f"{record.val_accuracy:.2%}"}
    if classifier.directory is None:
        return _facts(test | validation)
    metrics = summarize(of_logits(*classifier.directory.predictions()), 0.5)
    test = {
        "Test accuracy": f"{metrics['accuracy']:.2%} of {metrics['images']:,} images",
        "Macro F1": f"{metrics['macro']['f1']:.4f}",
        "Expected calibration error": f"{metrics['ece']:.4f}",
    }
    each = [
        (row["class"], *(f"{row[key]:.2%}" for key in ("precision", "recall", "f1")))
        for row in metrics["per_class"]
    ]
    table = markdown_table(("Class", "Precision", "Recall", "F1"), each)
    return f"{_facts(test | validation)}\n\n{table}"


def _limits(about: Description) -> str:
    return "\n".join(
        [
            f"- It knows {len(about.class_names)} classes and answers with one of them whatever it "
            f"is shown; its confidence was measured on {about.dataset} alone.",
            f"- It sees {about.size}x{about.size} pixels"
            + (" in gray." if about.channels == 1 else " in color."),
            "- Pictures unlike the training set's, in origin, framing or light, are answered worse "
            "than the figures above say.",
            "- It is one seed: another differs, by how much a table of several seeds says.",
            "- Who trained it says under which license it may be used: above it is `unknown`.",
        ]
    )


def _facts(rows: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in rows.items())
