"""Finished runs that nobody trained: whole and free of contradictions, made in milliseconds."""

import zlib
from functools import cache
from pathlib import Path

import numpy as np

from reslab.analysis.summary import count_parameters
from reslab.callbacks.history import write_rows
from reslab.config import compose, instantiate
from reslab.runs.check import try_network
from reslab.runs.record import Choice, Provenance, Record
from reslab.runs.sources import code_digest
from reslab.tables import plan, publication
from reslab.tables.plan import Cell

IMAGES, CLASSES = 200, 10
LAYERS = {
    "stem.0": "main",
    "stages.0.0.branch.0": "main",
    "stages.0.0.join.shortcut.0": "skip",
    "head.classifier": "main",
}
# Small networks of three recipes, on the digits, so that what is trained or drawn is quickly so.
TABLE = """
title: Depth & skips
seeds: [0, 1]
pairs:
  - [Residual, Plain]
  - [Residual, Padded]
rows:
  - {name: Residual, recipe: he2016/resnet20, published: {accuracy: 91.25}}
  - {name: Plain, recipe: he2016/plain20}
  - {name: Padded, recipe: resnet3}
"""
ON_DIGITS = ("dataset=digits", "max_steps=2", "logger=none")


def own_table(folder: Path, text: str = TABLE, monkeypatch=None) -> Path:
    """The table `own` in a folder of configurations; known in this process with `monkeypatch`."""
    path = folder / "conf/table/own.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if monkeypatch:
        monkeypatch.setattr(publication, "find_option", lambda group, name: path)
    return folder / "conf"


_composed = cache(compose)


def compose_once(monkeypatch) -> None:
    """Has tables compose the same overrides once for all tests of a process."""
    monkeypatch.setattr(plan, "compose", lambda overrides: _composed(tuple(overrides)))


def finish(
    cell: Cell, *, share: float = 0.8, epochs: int = 3, images: int = IMAGES, **changes
) -> None:
    """Writes what a finished run of a cell leaves, about `share` of its test images right.

    Further arguments replace fields of the record.
    """
    directory = cell.directory
    directory.checkpoints.mkdir(parents=True)
    directory.write_config(cell.cfg)
    rng = np.random.default_rng([cell.seed, zlib.crc32(cell.row.name.encode())])
    labels = np.random.default_rng(0).integers(CLASSES, size=images)  # the same for all
    logits = rng.normal(size=(images, CLASSES))
    right = rng.random(images) < share
    logits[np.arange(images), np.where(right, labels, (labels + 1) % CLASSES)] += 6
    logits = logits.astype(np.float16)
    directory.write_predictions(logits, labels, [str(name) for name in range(CLASSES)])
    history = [
        {
            "epoch": epoch,
            "step": 20 * epoch,
            "lr": 0.1,
            "train/loss": 2 * 0.5**epoch * rng.uniform(0.9, 1.1),
            "train/accuracy": 1 - 0.6**epoch * rng.uniform(0.9, 1),
            "val/loss": 2 * 0.6**epoch * rng.uniform(0.9, 1.1),
            "val/accuracy": 1 - 0.7**epoch * rng.uniform(0.9, 1),
            "train_seconds": 0.9,
            "seconds": rng.uniform(1, 2),
            "others_cpu_seconds": 0.0,
        }
        for epoch in range(1, epochs + 1)
    ]
    write_rows(directory.metrics_file, history)
    gradients = [
        {"epoch": epoch, "layer": layer, "path": path, "norm": rng.uniform(0.1, 3)}
        for epoch in range(epochs + 1)
        for layer, path in LAYERS.items()
    ]
    write_rows(directory.gradients_file, gradients)
    exact = logits.astype(float)
    normalized = exact - np.log(np.exp(exact).sum(1, keepdims=True))
    accuracy, last = float((logits.argmax(1) == labels).mean()), history[-1]
    seconds = [row["seconds"] for row in history]
    network = instantiate(cell.cfg, "model")
    fields = {
        "identity": cell.identity,
        "recipe": cell.row.recipe,
        "overrides": cell.overrides,
        "seed": cell.seed,
        "parameters": count_parameters(network),
        "macs": sum(layer.macs for layer in try_network(cell.cfg, network)),
        "epochs": epochs,
        "best_epoch": epochs,
        "val_accuracy": last["val/accuracy"],
        "val_loss": last["val/loss"],
        "test_accuracy": accuracy,
        "test_loss": float(-normalized[np.arange(images), labels].mean()),
        "last_test_accuracy": accuracy,
        "choices": dict.fromkeys(("val/loss", "val/accuracy"), Choice(epochs, accuracy)),
        "train_accuracy": last["train/accuracy"],
        "train_loss": last["train/loss"],
        "seconds": sum(seconds),
        "epoch_seconds": float(np.median(seconds)),
        "images_per_second": 1000.0,
        "peak_memory_bytes": 2**28,
        "checkpoint_bytes": 2**20,
        "inference_images_per_second": 5000.0,
        "provenance": PROVENANCE,
        "finished": "2024-05-01T12:00:00+0000",
        "others_cpu": 0.0,
        "inference_others_cpu": 0.0,
    }
    directory.write_record(Record(**(fields | changes)))


PROVENANCE = Provenance(
    hardware="a processor, 2 cores",
    precision="32-true",
    threads=1,
    versions={"torch": "2.0"},
    git=None,
    code_digest=code_digest(),
    data_digest="0" * 64,
    exact=True,
    device="cpu",
    cores=2,
    cpu_capability="AVX2",
)
