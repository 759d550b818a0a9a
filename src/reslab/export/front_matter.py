"""What a hub of models reads of a card: YAML in front of its text, as Hugging Face defines it."""

import math
from typing import Any

import yaml

from reslab.export.read import SUFFIXES
from reslab.runs.description import Description
from reslab.runs.record import Record

TASK = "image-classification"
TAGS = {
    SUFFIXES["onnx"]: "onnx",
    SUFFIXES["torch"]: "pytorch",
    SUFFIXES["safetensors"]: "safetensors",
}
ON_THE_HUB = ("mnist", "fashion_mnist", "cifar10", "cifar100")  # under the names they have here


def front_matter(about: Description, suffix: str) -> str:
    """The YAML in front of a card, with its two rulers and no newline at the end.

    Results are the record's, in `model-index`; a run that is not finished has none. Nobody but who
    trained the weights knows their license, so it is given as unknown.

    Args:
        about: The network.
        suffix: The export's, which says what it is.
    """
    network = about.model.get("name")
    content: dict[str, Any] = {
        "library_name": "reslab",
        "pipeline_tag": TASK,
        "license": "unknown",
        "tags": [TAGS[suffix], *([str(network)] if network else [])],
    }
    if about.dataset in ON_THE_HUB:
        content["datasets"] = [about.dataset]
    if about.record:
        content["metrics"] = [metric["type"] for metric in _metrics(about.record)]
        result = {
            "task": {"type": TASK},
            "dataset": {"name": about.dataset, "type": about.dataset, "split": "test"},
            "metrics": _metrics(about.record),
        }
        content["model-index"] = [{"name": about.name, "results": [result]}]
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=math.inf)
    return f"---\n{text}---"


def _metrics(record: Record) -> list[dict[str, Any]]:
    """Those of the test set that are numbers: a run that went astray has a loss that is none."""
    values = {
        "accuracy": ("Test accuracy", record.test_accuracy),
        "loss": ("Test cross-entropy", record.test_loss),
    }
    return [
        {"type": kind, "name": name, "value": value, "verified": False}
        for kind, (name, value) in values.items()
        if math.isfinite(value)
    ]
