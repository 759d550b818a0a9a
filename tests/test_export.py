"""Exports: each loaded again by its own runtime, and proved equal to the checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from processes import run
from reslab.errors import UserError
from reslab.export import write as exports
from reslab.export.read import KEY, SUFFIXES, open_export, to_metadata
from reslab.export.write import BOUND, compare, write_export
from reslab.predicting.load import data_of, load

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def families(trained):
    """Runs of two families, one without skips and one with."""
    network = ("model=mini_resnet", "model.widths=[8,16,32,64]")
    short = ("logger=none", "optimizer.lr=0.01", "trainer.max_epochs=2")
    assert run(trained, "train", *network, *short).code == 0
    return trained


@pytest.fixture(params=["baseline_cnn", "mini_resnet"])
def classifier(families, request):
    return load(request.param, families / "outputs/runs")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Writes what is asked for, once for all tests; they are to read it alone."""
    written = {}

    def write(classifier, kind, pixels):
        asked = (classifier.description.name, kind, pixels)
        if asked not in written:
            written[asked] = tmp_path_factory.mktemp(kind) / f"model{SUFFIXES[kind]}"
            images = data_of(classifier, None).test_images[:100]
            assert write_export(classifier, kind, pixels, images, written[asked]) <= BOUND
        return written[asked]

    return write


@pytest.mark.slow
@pytest.mark.parametrize("pixels", [pytest.param(False, marks=pytest.mark.long), True])
@pytest.mark.parametrize("kind", ["onnx", "torch", "safetensors"])
def test_an_export_computes_what_the_checkpoint_does(classifier, kind, pixels, exported):
    images = data_of(classifier, None).test_images[:100]
    if pixels and kind == "safetensors":
        with pytest.raises(UserError, match="--pixels"):
            exported(classifier, kind, pixels)
        return
    path = exported(classifier, kind, pixels)
    opened = open_export(path, CPU)
    assert opened.description == classifier.description
    expected = classifier(images)
    for number in (1, 7, 100):
        actual = opened(images[:number])
        assert torch.allclose(actual, expected[:number], atol=BOUND * expected.abs().max().item())
    assert list(path.parent.iterdir()) == [path]


def test_an_export_of_an_older_version_is_opened(classifier, tmp_path):
    """Its record is flat and knows less, and it does not say how its data set is made."""
    from safetensors.torch import load_file, save_file

    images = data_of(classifier).test_images[:20]
    path = tmp_path / "model.safetensors"
    write_export(classifier, "safetensors", False, images, path)
    about = json.loads(to_metadata(classifier.description, False))
    del about["data"]
    for key in ("device", "cores", "others_cpu", "inference_others_cpu", "model", "join", "rerun"):
        del about["record"][key]
    save_file(load_file(path), path, {KEY: json.dumps(about)})
    opened = load(path)
    assert opened.record.test_accuracy == classifier.record.test_accuracy
    assert opened.record.provenance.data_digest == classifier.record.provenance.data_digest
    assert torch.allclose(opened(images), classifier(images), atol=1e-3)
    with pytest.raises(UserError, match=r"of an older version.*give its run"):
        data_of(opened)


def test_a_torch_export_is_bound_to_no_device(classifier, exported):
    """No step of its graph names a device, with which it would refuse what lies on another."""
    graph = torch.export.load(str(exported(classifier, "torch", True))).graph
    assert [node for node in graph.nodes if node.kwargs.get("device") is not None] == []


@pytest.mark.slow
def test_batch_norms_are_folded(classifier, exported):
    import onnx
    from safetensors.torch import load_file

    graph = onnx.load(exported(classifier, "onnx", False)).graph
    operators = {node.op_type for node in graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    weights = load_file(exported(classifier, "safetensors", False))
    assert not [name for name in weights if "running" in name]


def test_the_preprocessing_is_in_the_metadata(classifier, exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported(classifier, "onnx", True)))
    about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert about["mean"] == list(classifier.description.mean)
    assert about["class_names"] == [str(k) for k in range(10)]
    assert about["preprocessing"]["input"] == "images [N, 1, 16, 16], uint8, 0 to 255"
    (argument,) = session.get_inputs()
    assert argument.type == "tensor(uint8)"
    assert isinstance(argument.shape[0], str)  # any number of images


@pytest.mark.slow
@pytest.mark.parametrize("classifier", ["mini_resnet"], indirect=True)
@pytest.mark.parametrize("kind", ["onnx", "torch", "safetensors"])
def test_an_export_that_differs_fails_and_is_not_kept(classifier, kind, tmp_path, monkeypatch):
    fold = exports.fold_batch_norms

    def fold_wrongly(network: nn.Module) -> nn.Module:
        folded = fold(network)
        next(folded.parameters()).data.mul_(1.2)
        return folded

    monkeypatch.setattr(exports, "fold_batch_norms", fold_wrongly)
    images = data_of(classifier, None).test_images[:50]
    with pytest.raises(UserError, match="the export differs from the checkpoint"):
        write_export(classifier, kind, False, images, tmp_path / f"model{SUFFIXES[kind]}")
    assert list(tmp_path.iterdir()) == []


def test_another_order_of_classes_is_a_difference(classifier, tmp_path):
    images = data_of(classifier, None).test_images[:50]
    path = tmp_path / "model.safetensors"
    write_export(classifier, "safetensors", False, images, path)
    assert compare(classifier, path, images) <= BOUND
    head = [module for module in classifier.network.modules() if isinstance(module, nn.Linear)][-1]
    head.weight.data = head.weight.data.flip(0)
    head.bias.data = head.bias.data.flip(0)
    with pytest.raises(UserError, match="another likeliest class"):
        compare(classifier, path, images)


class Branching(nn.Module):
    """Its way depends on the image: no graph can be made of it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(256, 10)

    def forward(self, x):
        return self.linear(x.flatten(1)) * (1 if x.mean() > 0 else 2)


def test_a_network_that_cannot_be_traced_is_one_line_and_the_old_file_goes(classifier, tmp_path):
    path = tmp_path / "model.pt2"
    path.write_text("an older export")
    images = data_of(classifier, None).test_images[:10]
    with pytest.raises(UserError, match="cannot be exported as torch"):
        write_export(replace(classifier, network=Branching().eval()), "torch", False, images, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_exported_file_predicts_like_its_run(families, tmp_path):
    """The command, for every format; the run itself computes in bf16 where the hardware has it."""
    data = data_of(load("mini_resnet", families / "outputs/runs"), None)
    for at, image in enumerate(data.test_images[:20]):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{at:02}.png")

    def answers(model: str):
        done = run(families, "predict", model, str(tmp_path), "--output", str(tmp_path / "out"))
        assert done.code == 0, done.err
        images = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
        return np.array([one["probabilities"] for one in images])

    expected = answers("mini_resnet")
    for kind, suffix in SUFFIXES.items():
        done = run(families, "export", "mini_resnet", "--format", kind)
        assert done.code == 0, done.err
        (path,) = families.glob(f"outputs/exports/*/model{suffix}")
        assert str(path.relative_to(families)) in done.out
        assert "the same answers" in done.out
        assert np.abs(answers(str(path)) - expected).max() < 0.05
