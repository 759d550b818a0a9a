"""Exported files that are foreign, damaged or made to do harm."""

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace

import pytest
import torch

from reslab.errors import UserError
from reslab.export.read import KEY, SUFFIXES, open_export, to_metadata
from reslab.export.write import write_export
from reslab.predicting.load import data_of, load

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier(trained):
    return load("digits", trained / "outputs/runs")


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
