"""Pixels become network input in one place, as torchvision's own transforms do it."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

import reslab
from reslab.preprocess import Normalization, Preprocessing, scaled

PACKAGE = Path(reslab.__file__).parent
MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
# What libraries call the same work.
THEIRS = {
    *("ToTensor", "to_tensor", "ToDtype", "to_dtype", "ConvertImageDtype", "convert_image_dtype"),
    *("Normalize", "normalize_image", "Resize", "resize", "interpolate"),
}
# What else has such work: the usual script of a benchmark, which is torchvision's; what makes gray
# levels, and other gray levels of them; a map of a network, which is drawn over its image.
THEIR_OWN = {
    "bench/script.py": {*THEIRS, "255", "255.0", "/"},
    "data/sources.py": {"255"},
    "pictures/decode.py": {"255"},
    "pictures/netpbm.py": {"255"},
    "analysis/corruption.py": {"255", "255.0", "/", "resize"},
    "analysis/weather.py": {"255", "/"},
    "evaluation/looks.py": {"255"},
    "analysis/grad_cam.py": {"interpolate"},
    "preprocess.py": {"resize", "/", "255"},
}


@pytest.mark.parametrize("size", [(16, 16), (8, 8), (40, 23)])
def test_pixels_become_what_torchvision_s_transforms_make_of_them(size):
    pixels = torch.randint(0, 256, (5, 3, *size), dtype=torch.uint8)
    theirs = v2.Compose(
        [
            v2.Resize((16, 16), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    ours = Preprocessing(16, Normalization(MEAN, STD))(pixels)
    assert torch.allclose(ours, theirs(pixels), rtol=0, atol=1e-6)  # it multiplies by 1 / 255
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_every_grey_level_has_its_place_on_the_0_1_scale():
    levels = torch.arange(256, dtype=torch.uint8)
    assert scaled(levels).tolist() == [torch.tensor(k / 255).item() for k in range(256)]
    assert scaled(levels, torch.float64).tolist() == [k / 255 for k in range(256)]


def test_normalization_is_subtraction_and_division():
    images = torch.rand(4, 3, 12, 12)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    expected = (images.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    actual = Normalization(mean, std)(images)
    assert np.allclose(actual.numpy(), expected, atol=1e-6)
    assert actual.is_contiguous(memory_format=torch.channels_last)


def handwritten(path: Path) -> list[str]:
    """What a file has of the work that `preprocess` does."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = [getattr(node, key, None) for key in ("attr", "id", "name")]
        found += [name for name in names if name in THEIRS]
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            is_255 = node.value == 255 or node.value == pytest.approx(1 / 255, rel=1e-3)
            found += [f"{node.value}"] * is_255
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            found += ["/"] * (getattr(node.right, "value", None) == 255)
    return found


def test_no_other_module_makes_input_of_pixels():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        assert set(handwritten(path)) <= THEIR_OWN.get(name, set()), name
    assert set(handwritten(PACKAGE / "preprocess.py")) == THEIR_OWN["preprocess.py"]


@pytest.mark.parametrize(
    "code", ["x.float() / 255", "x / 255.0", "x.div(255)", "x * 0.00392157", "F.interpolate(x, 8)"]
)
def test_handwritten_preprocessing_would_be_found(code, tmp_path):
    (tmp_path / "a.py").write_text(code)
    assert handwritten(tmp_path / "a.py") != []
