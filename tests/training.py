"""A small training run in an exact setting, and how to compare what two processes made of it."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from reslab.runs import checkpoint as files

NEEDS_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler"
)
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
# A narrow network, so that a test is not about its time; dropout, augmentation, a plateau schedule and early stopping: all that has a state.
SMALL = ("model=baseline_cnn", "model.widths=[8,16,32,64]")
ARGUMENTS = (
    "train",
    *SMALL,
    "model.dropout=0.5",
    "augment=crop_flip",
    "augment.crop.padding=2",
    "optimizer=adam_plateau",
    "optimizer.lr=0.01",
    "optimizer.schedule.patience=1",
    "optimizer.schedule.threshold=5",
    "logger=none",
    "monitor=val/loss",
    "patience=3",
    "trainer.max_epochs=4",
)
EXACT = (*ARGUMENTS, "trainer=exact")
STEPS_PER_EPOCH = 1257 // 64
EVERY_STEP = "checkpoint_every=0"


def make_older(best: Path) -> None:
    """Has a checkpoint say no more than one of a version that did not describe its network."""
    saved = files.load(best)
    description = saved["reslab"].pop("description")
    saved["reslab"] |= {key: description[key] for key in ("class_names", "mean", "std")}
    files.save(saved, best)


def only_run(folder: Path) -> Path:
    (config,) = folder.glob("outputs/runs/*/config.yaml")
    return config.parent


def same(one, other) -> bool:
    """Bitwise, through tensors, dicts and lists; wall-clock seconds aside."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        keys = [key for key in one if "seconds" not in str(key) and key != "before"]
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in keys)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def assert_same_state(run: Path, reference: Path) -> None:
    """Weights, optimizer, schedule, every generator, early stopping and history are equal."""
    for name in ("last.ckpt", "best.ckpt"):
        ours = files.load(run / "checkpoints" / name)
        theirs = files.load(reference / "checkpoints" / name)
        parts = {"state_dict", "optimizer_states", "lr_schedulers", "random_states", "callbacks"}
        for part in parts & theirs.keys():
            assert same(ours[part], theirs[part]), (name, part)
        assert ours.get("global_step") == theirs.get("global_step")


def history(run: Path) -> pd.DataFrame:
    """The metrics, but for the wall-clock columns."""
    frame = pd.read_csv(run / "metrics.csv")
    return frame.drop(columns=[name for name in frame if "seconds" in name])


def assert_same_results(run: Path, reference: Path) -> None:
    assert_same_state(run, reference)
    pd.testing.assert_frame_equal(history(run), history(reference), check_exact=True)
    assert (run / "gradients.csv").read_bytes() == (reference / "gradients.csv").read_bytes()
    assert (run / "predictions.npz").read_bytes() == (reference / "predictions.npz").read_bytes()
