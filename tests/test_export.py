"""Exports: each loaded again by its own runtime, and one used where there is no torch."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

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
from training import SMALL

REPOSITORY = Path(__file__).parents[1]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of two families, one with skips and one without."""
    folder = tmp_path_factory.mktemp("trained")
    short = ("logger=none", "optimizer.lr=0.01", "trainer.max_epochs=2")
    assert run(folder, "train", *SMALL, *short).code == 0
    network = ("model=mini_resnet", "model.widths=[8,16,32,64]")
    assert run(folder, "train", *network, *short).code == 0
    return folder


@pytest.fixture(params=["baseline_cnn", "mini_resnet"])
def classifier(trained, request):
    return load(request.param, trained / "outputs/runs")


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("kind", ["onnx", "torch", "safetensors"])
def test_an_export_computes_what_the_checkpoint_does(classifier, kind, pixels, tmp_path):
    images = data_of(classifier, None).test_images[:100]
    path = tmp_path / f"model{SUFFIXES[kind]}"
    if pixels and kind == "safetensors":
        with pytest.raises(UserError, match="--pixels"):
            write_export(classifier, kind, pixels, images, path)
        return
    assert write_export(classifier, kind, pixels, images, path) <= BOUND
    opened = open_export(path, CPU)
    assert opened.description == classifier.description
    expected = classifier(images)
    for number in (1, 7, 100):
        actual = opened(images[:number])
        assert torch.allclose(actual, expected[:number], atol=BOUND * expected.abs().max().item())
    assert list(tmp_path.iterdir()) == [path]


def test_a_torch_export_is_bound_to_no_device(classifier, tmp_path):
    """No step of its graph names a device, with which it would refuse what lies on another."""
    images = data_of(classifier, None).test_images[:10]
    write_export(classifier, "torch", True, images, tmp_path / "model.pt2")
    graph = torch.export.load(str(tmp_path / "model.pt2")).graph
    assert [node for node in graph.nodes if node.kwargs.get("device") is not None] == []


def test_batch_norms_are_folded(classifier, tmp_path):
    import onnx
    from safetensors.torch import load_file

    images = data_of(classifier, None).test_images[:10]
    write_export(classifier, "onnx", False, images, tmp_path / "model.onnx")
    write_export(classifier, "safetensors", False, images, tmp_path / "model.safetensors")
    operators = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "running" in name]


def test_the_preprocessing_is_in_the_metadata(classifier, tmp_path):
    import onnxruntime

    images = data_of(classifier, None).test_images[:10]
    write_export(classifier, "onnx", True, images, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    about = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    assert about["mean"] == list(classifier.description.mean)
    assert about["class_names"] == [str(k) for k in range(10)]
    assert about["preprocessing"]["input"] == "images [N, 1, 16, 16], uint8, 0 to 255"
    (argument,) = session.get_inputs()
    assert argument.type == "tensor(uint8)"
    assert isinstance(argument.shape[0], str)  # any number of images


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


def test_a_foreign_or_damaged_file_is_one_line(tmp_path):
    import onnx
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(UserError, match="was not exported by reslab"):
        open_export(tmp_path / "foreign.safetensors", CPU)
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1]) for n in "xy")
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "f.onnx"
    )
    with pytest.raises(UserError, match="was not exported by reslab"):
        open_export(tmp_path / "f.onnx", CPU)
    for suffix in SUFFIXES.values():
        (tmp_path / f"damaged{suffix}").write_text("not a model")
        with pytest.raises(UserError, match=r"damaged\S+ cannot be opened"):
            open_export(tmp_path / f"damaged{suffix}", CPU)


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def altered(classifier, folder, change):
    """A torch export whose files `change` has had its way with, a dict from names to bytes."""
    images = data_of(classifier, None).test_images[:10]
    write_export(classifier, "torch", False, images, folder / "model.pt2")
    with zipfile.ZipFile(folder / "model.pt2") as good:
        root = good.namelist()[0].partition("/")[0]
        files = {name.removeprefix(f"{root}/"): good.read(name) for name in good.namelist()}
    change(files)
    with zipfile.ZipFile(folder / "evil.pt2", "w") as evil:
        for name, content in files.items():
            evil.writestr(f"{root}/{name}", content)
    return folder / "evil.pt2"


def test_a_torch_export_written_anew_is_opened(classifier, tmp_path):
    opened = open_export(altered(classifier, tmp_path, lambda files: None), CPU)
    images = data_of(classifier, None).test_images[:10]
    assert torch.allclose(opened(images), classifier(images), atol=1e-3)


@pytest.mark.parametrize(
    "place",
    [
        "data/sample_inputs/model.pt",
        "data/weights/extra.pt",
        "data/constants/opaque_obj_0",
        "data/constants/custom_obj_0",
    ],
)
def test_a_pickle_in_a_torch_export_is_refused_and_not_run(classifier, place, tmp_path):
    proof = tmp_path / "proof"
    payload = io.BytesIO()
    torch.save((Payload(proof),), payload)

    def change(files):
        files[place] = payload.getvalue()

    with pytest.raises(UserError, match="holds more than tensors and a graph"):
        open_export(altered(classifier, tmp_path, change), CPU)
    assert not proof.exists()


def test_a_constant_that_is_no_tensor_is_refused_and_not_run(classifier, tmp_path):
    proof = tmp_path / "proof"

    def change(files):
        weights = json.loads(files["data/weights/model_weights_config.json"])["config"]
        meta = next(iter(weights.values()))["tensor_meta"]
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False}
        config = {"config": {"evil": entry | {"tensor_meta": meta}}}
        files["data/constants/model_constants_config.json"] = json.dumps(config).encode()
        pickled = pickle.dumps(Payload(proof))
        files["data/constants/tensor_0"] = pickled + b"\0" * (-len(pickled) % 8)

    with pytest.raises(UserError, match="holds more than tensors and a graph"):
        open_export(altered(classifier, tmp_path, change), CPU)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\"Symbol('s", "\"__import__('pathlib').Path('PROOF').touch() or Symbol('s"),
        ('"torch.ops.aten.linear.default"', '"torch.hub.os.system"'),
        ('{"name": "x"', "{\"name\": \"x=__import__('pathlib').Path('PROOF').touch()\""),
    ],
)
def test_code_in_the_graph_of_a_torch_export_is_refused_and_not_run(classifier, old, new, tmp_path):
    proof = tmp_path / "proof"

    def change(files):
        graph = files["models/model.json"].decode()
        assert old in graph
        files["models/model.json"] = graph.replace(old, new.replace("PROOF", str(proof))).encode()

    with pytest.raises(UserError, match="holds more than tensors and a graph"):
        open_export(altered(classifier, tmp_path, change), CPU)
    assert not proof.exists()


def test_an_export_that_names_a_folder_is_refused(classifier, tmp_path):
    from safetensors.torch import load_file, save_file

    images = data_of(classifier, None).test_images[:10]
    path = tmp_path / "model.safetensors"
    write_export(classifier, "safetensors", False, images, path)
    about = to_metadata(replace(classifier.description, name="../../evil"), False)
    save_file(load_file(path), path, {KEY: about})
    with pytest.raises(UserError, match="no file's name"):
        open_export(path, CPU)


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


def test_an_exported_file_predicts_like_its_run(trained, tmp_path):
    """The command, for every format; the run itself computes in bf16 where the hardware has it."""
    data = data_of(load("mini_resnet", trained / "outputs/runs"), None)
    for at, image in enumerate(data.test_images[:20]):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{at:02}.png")

    def answers(model: str):
        done = run(trained, "predict", model, str(tmp_path), "--output", str(tmp_path / "out"))
        assert done.code == 0, done.err
        images = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
        return np.array([one["probabilities"] for one in images])

    expected = answers("mini_resnet")
    for kind, suffix in SUFFIXES.items():
        done = run(trained, "export", "mini_resnet", "--format", kind)
        assert done.code == 0, done.err
        (path,) = trained.glob(f"outputs/exports/*/model{suffix}")
        assert str(path.relative_to(trained)) in done.out
        assert "the same answers" in done.out
        assert np.abs(answers(str(path)) - expected).max() < 0.05


@pytest.mark.slow
def test_an_onnx_file_predicts_without_torch_as_its_card_says(trained, tmp_path):
    """The card's own code, in an environment that holds onnxruntime, numpy and Pillow alone."""
    done = run(trained, "export", "mini_resnet", "--output", str(tmp_path))
    assert done.code == 0, done.err
    (card,) = tmp_path.glob("*/model.*.md")
    text = card.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    classifier = load("mini_resnet", trained / "outputs/runs")
    data = data_of(classifier, None)
    for at, image in enumerate(data.test_images[:5]):
        Image.fromarray(image[0].numpy()).save(card.parent / f"{at}.png")
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean/bin/python"
    pip = [python, "-m", "pip", "install", "-q", "-c", REPOSITORY / "constraints.txt"]
    installed = subprocess.run(
        [*pip, "onnxruntime", "numpy", "pillow"], capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
    for at, logits in enumerate(classifier(data.test_images[:5])):
        answer = subprocess.run(
            [python, "-c", code, f"{at}.png"], cwd=card.parent, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        name, probability = answer.stdout.split()
        assert name == classifier.class_names[logits.argmax()]
        assert float(probability) == pytest.approx(logits.softmax(0).max().item(), abs=1e-3)


@pytest.mark.parametrize(
    "asked",
    [
        ("mini_resnet", "--format", "torch"),
        ("mini_resnet", "--format", "torch", "--pixels"),
        ("mini_resnet", "--format", "safetensors"),
    ],
)
def test_the_code_of_a_card_predicts_a_picture_of_any_size(trained, tmp_path, asked):
    done = run(trained, "export", *asked, "--output", str(tmp_path))
    assert done.code == 0, done.err
    (card,) = tmp_path.glob("*/model.*.md")
    (code,) = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
    data = data_of(load("mini_resnet", trained / "outputs/runs"), None)
    picture = Image.fromarray(data.test_images[0][0].numpy()).resize((50, 40)).convert("RGB")
    picture.save(card.parent / "a.png")
    answer = subprocess.run(
        [sys.executable, "-c", code, "a.png"], cwd=card.parent, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    name, probability = answer.stdout.split()
    export = str(card.with_suffix(""))
    said = run(trained, "predict", export, str(card.parent / "a.png"), "--output", "out")
    assert said.code == 0, said.err
    (row,) = json.loads((trained / "out/predictions.json").read_text())["images"]
    assert row["top"][0]["class"] == name
    assert row["top"][0]["probability"] == pytest.approx(float(probability), abs=0.02)


def test_the_card_s_figures_are_the_record_s(trained, tmp_path):
    done = run(
        trained, "export", "baseline_cnn", "--format", "safetensors", "--output", str(tmp_path)
    )
    assert done.code == 0, done.err
    (card,) = tmp_path.glob("*/model.*.md")
    text, record = card.read_text(), load("baseline_cnn", trained / "outputs/runs").record
    assert f"Test accuracy: {record.test_accuracy:.2%} of 360 images" in text
    assert f"Parameters: {record.parameters:,}" in text
    assert record.provenance.data_digest in text
    assert sys.version.split()[0] in text
