"""A table of two narrow networks, trained once for all the tests that look at it.

Nothing is to be changed or run in the folders that they share, only in copies.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from processes import run

RECIPE = """# @package _global_
defaults:
  - override /augment: none
  - override /model: mini_resnet
  - override /join: {join}
  - _self_
model:
  widths: [8, 16, 32, 64]
optimizer:
  lr: 0.01
trainer:
  max_epochs: {epochs}
"""
TABLE = """
title: Narrow & short
seeds: [0, 1]
quick: ["seed=0", trainer.max_epochs=1]
columns: [train_accuracy, val_accuracy, loss, macs, memory, mebibytes, images_per_second]
pairs:
  - [Skip, No skip]
  - [Skip, Skip again]
rows:
  - name: Skip
    recipe: skip
    published: {accuracy: 84.1, val_accuracy: 85, macs: 1 GFLOP, memory: 2 MB, mebibytes: 1.2}
  - name: No skip
    recipe: plain
  - name: Skip again
    recipe: again
"""
ARGUMENTS = ("--config-dir", "conf", "narrow")
REFERENCE = "outputs/reference/narrow/digits/runs"


def made_once(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one worker of a session makes and the others wait for."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            making = shared / f"{name}.making"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir()
            make(making)
            making.rename(shared / name)
    return shared / name


def _train(folder: Path) -> None:
    for group in ("recipe", "table"):
        (folder / "conf" / group).mkdir(parents=True)
    recipes = {"skip": ("add", 2), "plain": ("none", 2), "again": ("add", 3)}
    for name, (join, epochs) in recipes.items():
        text = RECIPE.format(join=join, epochs=epochs)
        (folder / f"conf/recipe/{name}.yaml").write_text(text)
    (folder / "conf/table/narrow.yaml").write_text(TABLE)
    finished = run(folder, "reproduce", *ARGUMENTS)
    assert finished.code == 0, finished.out + finished.err
    (folder / "out.txt").write_text(finished.out)


@pytest.fixture(scope="session")
def narrow_table(tmp_path_factory):
    """Where `reproduce narrow` has run, with what it printed in `out.txt`."""
    return made_once(tmp_path_factory, "narrow", _train)


@pytest.fixture(scope="session")
def narrow_reference(narrow_table, tmp_path_factory):
    """A copy with the records kept as reference."""

    def keep(copy: Path) -> None:
        shutil.copytree(narrow_table, copy, dirs_exist_ok=True)
        finished = run(copy, "table", *ARGUMENTS, "--keep")
        assert finished.code == 0, finished.err

    return made_once(tmp_path_factory, "narrow-kept", keep)


def predictions(folder: Path, content: dict, model: str) -> dict[int, dict]:
    """Seed to logits and labels."""
    return {
        cell["seed"]: dict(np.load(folder / cell["run"] / "predictions.npz"))
        for cell in content["cells"]
        if cell["model"] == model
    }


def right(one: dict) -> np.ndarray:
    return one["logits"].argmax(1) == one["labels"]


def no_skip(folder: Path) -> Path:
    """The run at hand of the row "No skip" with seed 0."""
    content = json.loads((folder / "outputs/tables/narrow/digits/table.json").read_text())
    return folder / content["cells"][2]["run"]
