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
from training import EVERY_STEP, SMALL, make_older, only_run


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


@pytest.mark.slow
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
        assert "the images of digits are needed, and MNIST/images not in" in line
        assert f"{tmp_path}/file/data: name the folder" in line
        assert "--data-dir" in line


def test_a_run_of_an_older_version_is_described_by_its_configuration(classifier, images, older):
    loaded = reslab.load(older)
    assert loaded.description == classifier.description
    assert loaded.description.mirrored
    assert torch.equal(loaded(images), classifier(images))
    lines = (older / "config.yaml").read_text().replace("probability: 0.5", "probability: 0")
    (older / "config.yaml").write_text(lines)
    assert not reslab.load(older).description.mirrored


@pytest.mark.slow
def test_a_run_that_an_older_version_trained_to_its_end_is_described_when_it_is_finished(tmp_path):
    """It was killed when all was saved and nothing recorded: nothing is left to train."""
    arguments = ("train", *SMALL, "logger=none", "trainer.max_epochs=1", EVERY_STEP)
    assert run(tmp_path, *arguments, kill=("epoch", 1)).killed
    best = only_run(tmp_path) / "checkpoints/best.ckpt"
    make_older(best)
    finished = run(tmp_path, *arguments)
    assert finished.code == 0, finished.err
    assert reslab.load(best).record == reslab.load(only_run(tmp_path)).record is not None
