"""One way to open a trained network, and one class for it, wherever it comes from."""

import json
import shutil

import pytest
import torch

import reslab
from processes import run
from reslab.errors import UserError
from reslab.export.write import BOUND, write_export
from reslab.predicting.load import data_of
from reslab.runs import checkpoint as files
from training import only_run


@pytest.fixture(scope="module")
def classifier(trained):
    return reslab.load("digits", trained / "outputs/runs")


@pytest.fixture(scope="module")
def images(classifier):
    return data_of(classifier).test_images[:40]


@pytest.fixture(scope="module")
def exported(classifier, images, tmp_path_factory):
    """Two exports of the run, one of which takes pixels."""
    folder = tmp_path_factory.mktemp("exported")
    for kind, pixels in (("safetensors", False), ("torch", True)):
        suffix = {"safetensors": ".safetensors", "torch": ".pt2"}[kind]
        write_export(classifier, kind, pixels, images, folder / f"{kind}{suffix}")
    return sorted(folder.iterdir())


def test_a_run_and_its_exports_are_one_class_and_say_the_same(
    trained, classifier, images, exported
):
    expected, scale = classifier(images), classifier(images).abs().max()
    enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    of_enlarged = classifier(enlarged)
    others = [reslab.load(path) for path in exported]
    others.append(reslab.load(only_run(trained), device="cpu", batch_size=16))
    for other in others:
        assert type(other) is type(classifier)
        assert other.description == classifier.description
        assert other.record == classifier.record
        assert other.class_names == classifier.class_names
        bound = BOUND if other.directory is None else 0.05  # the engine may compute in bf16
        assert (other(images) - expected).abs().max() < bound * scale
        assert (other(enlarged) - of_enlarged).abs().max() < bound * scale
        mean = (expected.softmax(1) + classifier(images.flip(-1)).softmax(1)) / 2
        assert torch.allclose(other.probabilities(images, mirror=True), mean, atol=bound)


def test_an_export_of_an_export_is_refused(exported, images, tmp_path):
    with pytest.raises(UserError, match="is an export already"):
        write_export(reslab.load(exported[0]), "onnx", False, images, tmp_path / "again.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def copied(trained, tmp_path):
    """A run's best checkpoint in a folder of its own, far from the run."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(only_run(trained) / "checkpoints/best.ckpt", folder / "copied.ckpt")
    return folder / "copied.ckpt"


def test_a_copied_checkpoint_alone_is_its_run_to_the_bit(classifier, images, copied):
    alone = reslab.load(copied)
    assert alone.description == classifier.description
    assert alone.record == classifier.record
    assert alone.directory is None
    assert torch.equal(alone(images), classifier(images))
    ours, theirs = (one.network.state_dict() for one in (alone, classifier))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_the_command_predicts_by_a_copied_checkpoint_as_by_its_run(trained, copied, tmp_path):
    picture = next((trained / "pictures/3").glob("*.png"))
    shutil.copy(picture, copied.with_name("photo.png"))
    said = run(trained, "predict", "digits", str(picture), "--output", str(tmp_path / "run"))
    assert said.code == 0, said.err
    hidden = trained.with_name("hidden")
    trained.rename(hidden)
    try:
        alone = run(copied.parent, "predict", "copied.ckpt", "photo.png")
        assert alone.code == 0, alone.err
    finally:
        hidden.rename(trained)
    name = only_run(trained).name
    ours, theirs = (
        json.loads((folder / "predictions.json").read_text())
        for folder in (copied.parent / f"outputs/predictions/{name}", tmp_path / "run")
    )
    assert ours["images"][0].pop("file") == "photo.png"
    assert theirs["images"][0].pop("file") == str(picture)
    assert ours == theirs
    assert ours["model"]["test_accuracy"] is not None


def test_a_copied_checkpoint_is_evaluated_and_exported_from_where_it_lies(trained, copied):
    evaluated = run(copied.parent, "evaluate", "copied.ckpt")
    assert evaluated.code == 0, evaluated.err
    name = only_run(trained).name
    metrics = json.loads((copied.parent / f"outputs/evaluation/{name}/metrics.json").read_text())
    record = reslab.load(copied).record
    assert metrics["accuracy"] == pytest.approx(record.test_accuracy, abs=0.01)
    exported = run(copied.parent, "export", "copied.ckpt", "--format", "safetensors")
    assert exported.code == 0, exported.err
    card = (copied.parent / f"outputs/exports/{name}/model.safetensors.md").read_text()
    assert f"Test accuracy: {record.test_accuracy:.2%}" in card


def test_where_the_data_are_lacking_it_is_said_with_the_way_out(copied, tmp_path):
    saved = files.load(copied)
    dataset = {"_target_": "torchvision.datasets.MNIST", "_partial_": True}
    source = {"_target_": "reslab.data.TorchvisionSource", "dataset": dataset, "archives": {}}
    saved["reslab"]["description"]["data"]["source"] = source | {"files": {"MNIST/images": None}}
    files.save(saved, copied)
    (tmp_path / "file").touch()
    for command in ("evaluate", "export"):
        line = run(tmp_path, command, str(copied), "--data-dir", "file/data").error_line()
        assert "the test images of digits are needed: data_dir: cannot make file/data" in line
        assert "--data-dir" in line


@pytest.fixture
def older(trained, tmp_path):
    """A run of a version whose checkpoints did not describe their network."""
    folder = tmp_path / "runs" / only_run(trained).name
    shutil.copytree(only_run(trained), folder)
    saved = files.load(folder / "checkpoints/best.ckpt")
    description = saved["reslab"].pop("description")
    saved["reslab"] |= {key: description[key] for key in ("class_names", "mean", "std")}
    files.save(saved, folder / "checkpoints/best.ckpt")
    return folder


def test_a_run_of_an_older_version_is_described_by_its_configuration(classifier, images, older):
    loaded = reslab.load(older)
    assert loaded.description == classifier.description
    assert loaded.description.mirrored
    assert torch.equal(loaded(images), classifier(images))
    lines = (older / "config.yaml").read_text().replace("probability: 0.5", "probability: 0")
    (older / "config.yaml").write_text(lines)
    assert not reslab.load(older).description.mirrored


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
        (lambda saved: saved.pop("state_dict"), "its weights are no such network's"),
        (lambda saved: saved["state_dict"].popitem(), "its weights are no such network's"),
        (leave_out("mean"), "mean is missing"),
        (describe_otherwise("size", "16"), "size is '16'"),
        (describe_otherwise("size", 0), "to be positive"),
        (describe_otherwise("mean", [0.1, 0.2]), "not one number a channel"),
        (describe_otherwise("std", [float("nan")]), "not one number a channel"),
        (describe_otherwise("channels", 3), "not one number a channel"),
        (describe_otherwise("class_names", [1, 2]), "class_names are"),
        (describe_otherwise("class_names", ["one"]), "does not tell 1 classes"),
        (describe_otherwise("name", "../../evil"), "no file's name"),
        (describe_otherwise("record", {"seed": 1}), "hardware is missing"),
        (describe_otherwise("model", {"_target_": "os.system"}), "os.system is not allowed"),
        (describe_otherwise("model", {"_target_": "torch.nn.Linear"}), "model"),
        (
            describe_otherwise("model", {"_target_": "reslab.data.DigitsSource"}),
            "model is a DigitsSource, no network",
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
