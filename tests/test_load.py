"""One way to open a trained network, and one class for it, wherever it comes from."""

import pytest
import torch

import reslab
from reslab.errors import UserError
from reslab.export.write import BOUND, export
from reslab.predicting.load import data_of
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
        export(classifier, kind, pixels, images, folder / f"{kind}{suffix}")
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
        export(reslab.load(exported[0]), "onnx", False, images, tmp_path / "again.onnx")
    assert list(tmp_path.iterdir()) == []
