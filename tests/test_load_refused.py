"""Checkpoints that are foreign, damaged, of an older version, or made to do harm."""

import importlib
import os
import shutil
import sys

import pytest
import torch

import reslab
from processes import run
from reslab.errors import UserError
from reslab.predicting.load import load
from reslab.runs import checkpoint as files
from training import make_older, only_run


def test_an_older_checkpoint_alone_is_refused_with_the_way_out(older):
    with pytest.raises(UserError, match=r"is of an older version.*give the run's folder"):
        reslab.load(older / "checkpoints/best.ckpt")


def test_what_a_run_is_resumed_from_is_refused_with_the_way_out(trained):
    with pytest.raises(UserError, match=r"resumed from: give its best\.ckpt"):
        reslab.load(only_run(trained) / "checkpoints/last.ckpt")


def describe_otherwise(key, value):
    def change(saved):
        saved["reslab"]["description"][key] = value

    return change


def leave_out(key):
    return lambda saved: saved["reslab"]["description"].pop(key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda saved: saved.pop("reslab"), "was not written by reslab"),
        (lambda saved: saved["reslab"].update(description=3), "it is no description"),
        (lambda saved: saved.pop("state_dict"), "was not written by reslab"),
        (lambda saved: saved["state_dict"].popitem(), "its weights are no such network's"),
        (leave_out("mean"), "mean is missing"),
        (describe_otherwise("size", "16"), "size is '16'"),
        (describe_otherwise("size", 0), "to be positive"),
        (describe_otherwise("mean", [0.1, 0.2]), "not one number a channel"),
        (describe_otherwise("std", [float("nan")]), "not one number a channel"),
        (describe_otherwise("channels", 3), "not one number a channel"),
        (describe_otherwise("class_names", [1, 2]), "class_names is"),
        (describe_otherwise("class_names", ["one"]), "does not tell 1 classes"),
        (describe_otherwise("name", "../../evil"), "no file's name"),
        (describe_otherwise("record", {"seed": 1}), "hardware is missing"),
        (describe_otherwise("model", {"_target_": "os.system"}), "os.system is not allowed"),
        (describe_otherwise("model", {"_target_": "torch.nn.Linear"}), "model"),
        (
            describe_otherwise("model", {"_target_": "torch.nn.Parameter"}),
            "model is a Parameter, no network",
        ),
    ],
)
def test_a_checkpoint_that_is_not_what_it_says_is_one_line(copied, change, said):
    saved = files.load(copied)
    change(saved)
    files.save(saved, copied)
    with pytest.raises(UserError) as refused:
        reslab.load(copied)
    assert said in str(refused.value)
    assert "copied.ckpt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_foreign_checkpoint_is_one_line(tmp_path):
    path = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.4"}, path)
    with pytest.raises(UserError, match=r"foreign\.ckpt is cut off, or was not written by reslab"):
        reslab.load(path)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_with_a_payload_or_a_foreign_class_is_refused_and_not_run(trained, tmp_path):
    """The class as the checkpoint names it, or of an older version the configuration."""
    proof = tmp_path / "proof"
    evil = {"_target_": "os.system", "command": f"touch {proof}"}
    for name, expected in {
        "payload": "refused",
        "target": "os.system is not allowed",
        "older": "os.system is not allowed",
    }.items():
        folder = tmp_path / name
        shutil.copytree(only_run(trained), folder)
        best = folder / "checkpoints/best.ckpt"
        if name == "older":
            make_older(best)
            text = (folder / "config.yaml").read_text()
            target = "reslab.nn.PlainCNN"
            assert target in text
            lines = "\n  ".join(f"{key}: {value}" for key, value in evil.items())
            (folder / "config.yaml").write_text(text.replace(f"_target_: {target}", lines))
        else:
            saved = files.load(best)
            if name == "payload":
                saved["hyper"] = Payload(proof)
            else:
                saved["reslab"]["description"]["model"] = evil
            files.save(saved, best)
        asked = [str(folder)] if name == "older" else [str(folder), str(best)]
        for what in asked:
            finished = run(trained, "predict", what, "pictures")
            assert expected in finished.error_line()
            assert not proof.exists()


@pytest.mark.parametrize("key", ["_class_path", "_instantiator"])
@pytest.mark.parametrize("where", ["", "hyper_parameters"])
def test_keys_that_name_classes_are_refused_and_nothing_is_imported(
    trained, tmp_path, monkeypatch, where, key
):
    """Lightning would import what `_instantiator` names."""
    folder, proof = tmp_path / "run", tmp_path / "proof"
    shutil.copytree(only_run(trained), folder)
    (tmp_path / "evil_checkpoint.py").write_text(f"open({str(proof)!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("best.ckpt", "last.ckpt"):
        path = folder / "checkpoints" / name
        saved, named = files.load(path), {key: "evil_checkpoint.Evil"}
        files.save(saved | ({where: named} if where else named), path)
    for latest in (False, True):
        with pytest.raises(UserError, match=rf"names a class to import \({key}\).*refused"):
            load(folder, latest=latest)
    with pytest.raises(UserError, match="refused"):
        reslab.load(folder / "checkpoints/best.ckpt")
    assert not proof.exists()
    importlib.import_module("evil_checkpoint")
    assert proof.exists(), "it could have been imported"
    del sys.modules["evil_checkpoint"]
