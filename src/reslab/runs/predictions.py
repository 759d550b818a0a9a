"""What a finished run's best network said of its test set, as it is kept."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs.record import WAY_OUT


def write(path: Path, logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Keeps test logits fp16 `[N, K]`, labels `[N]` and names `[K]`."""
    buffer = io.BytesIO()
    names = np.array(class_names)
    np.savez_compressed(buffer, logits=logits, labels=labels, class_names=names)
    write_atomically(path, buffer.getvalue())


def read(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Logits fp16 `[N, K]`, labels `[N]`, each of a class, and the classes' names.

    Raises:
        UserError: The file is missing, damaged or of an older version.
    """
    try:
        with np.load(path) as content:
            names = tuple(content["class_names"].tolist())
            logits, labels = content["logits"], content["labels"]
        if logits.shape != (len(labels), len(names)):
            raise ValueError(f"logits {logits.shape} for {len(labels)} of {len(names)} classes")
        if logits.dtype.kind != "f" or labels.dtype.kind not in "iu":
            raise ValueError("not numbers")
        if not set(np.unique(labels)) <= set(range(len(names))):
            raise ValueError("labels that are no class")
        return logits, labels, names
    except Exception as error:  # whatever a foreign or damaged file makes numpy stumble over
        raise UserError(f"{path} is missing, damaged or of an older version; {WAY_OUT}") from error
