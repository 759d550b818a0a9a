"""A run that is used elsewhere than it was trained: its data are found, and never fetched."""

import json
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest

from reslab import use
from reslab.errors import UserError
from reslab.predicting.load import data_of, load
from reslab.runs import checkpoint as files
from reslab.runs.store import RunDirectory
from training import only_run

NAMES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
FILES = [f"MNIST/raw/{name}-idx{3 if 'images' in name else 1}-ubyte" for name in NAMES]


def write_digits(folder, level):
    """Small files as MNIST's, all of whose test images have one level."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        number = 400 if "train" in name else 20
        if "images" in name:
            head = struct.pack(">IIII", 2051, number, 8, 8)
            content = np.random.default_rng(0).integers(0, 256, number * 64, dtype=np.uint8)
            if "t10k" in name:
                content[:] = level
        else:
            head = struct.pack(">II", 2049, number)
            content = (np.arange(number) % 10).astype(np.uint8)
        (folder / name).write_bytes(head + content.tobytes())


@pytest.fixture
def copied(trained, tmp_path):
    """A run whose data are MNIST's, begun in `there` and copied to `here/run`."""
    folder = tmp_path / "here/run"
    shutil.copytree(only_run(trained), folder)
    request = json.loads((folder / "request.json").read_text())
    (tmp_path / "there").mkdir()
    request["folder"] = str(tmp_path / "there")
    (folder / "request.json").write_text(json.dumps(request))
    best = RunDirectory(folder).best
    saved = files.load(best)
    dataset = {"_target_": "torchvision.datasets.MNIST", "_partial_": True}
    source = {"_target_": "reslab.data.TorchvisionSource", "dataset": dataset, "archives": {}}
    data = saved["reslab"]["description"]["data"]
    data["source"] = source | {"files": dict.fromkeys(FILES)}
    data["data_dir"] = "data"
    files.save(saved, best)
    return folder


def level(data):
    return int(data.test_images.unique())


def test_its_data_are_those_beside_which_it_was_trained_or_else_those_here(
    copied, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path / "here")
    write_digits(tmp_path / "here/data", level=1)
    classifier = load(copied)
    assert level(data_of(classifier)) == 1
    write_digits(tmp_path / "there/data", level=2)
    assert level(data_of(classifier)) == 2
    write_digits(tmp_path / "named", level=3)
    assert level(data_of(classifier, "../named")) == 3
    alone = replace(classifier, directory=None)  # its checkpoint does not know where it was trained
    assert level(data_of(alone)) == 1


@pytest.mark.parametrize("data_dir", ["data", "../data", "absolute"])
def test_without_them_nothing_is_fetched_and_the_folders_are_named(
    copied, tmp_path, monkeypatch, data_dir
):
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("torchvision.datasets.MNIST.__init__", None)  # which would fetch
    best = RunDirectory(copied).best
    saved = files.load(best)
    if data_dir == "absolute":
        data_dir = str(tmp_path / "gone/data")
    saved["reslab"]["description"]["data"]["data_dir"] = data_dir
    files.save(saved, best)
    before = sorted(tmp_path.rglob("*"))
    there = (tmp_path / "there" / data_dir).absolute()
    for function in (use.evaluate, use.export):
        with pytest.raises(UserError) as refused:
            function(copied, output=tmp_path / "out")
        assert f"{FILES[0]}, " in str(refused.value)
        assert f" not in {there}" in str(refused.value)
        assert "with --data-dir" in str(refused.value)
        with pytest.raises(UserError, match=f"not in {tmp_path}/here/elsewhere: name the folder"):
            function(copied, output=tmp_path / "out", data_dir="elsewhere")
        with pytest.raises(UserError, match=f"not in {tmp_path}/here|gone"):
            function(best, output=tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_of_data_that_lack_a_file_it_is_named(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "here")
    write_digits(tmp_path / "there/data", level=1)
    (tmp_path / "there/data" / FILES[3]).unlink()
    with pytest.raises(UserError, match=f"and {FILES[3]} not in {tmp_path}/there/data"):
        data_of(load(copied))
