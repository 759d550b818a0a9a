"""A folder of one's own pictures as a data set: what is found, decoded, divided and hashed."""

import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import train_test_split

from folders import (
    PARTS,
    class_folders,
    composed,
    data_of,
    expected,
    files_in,
    flip,
    held,
    warnings,
)
from pictures import saved
from reslab.config import compose
from reslab.errors import UserError
from reslab.runs.identity import hashed_config, identity, run_name

pytestmark = pytest.mark.usefixtures("in_empty_folder")


@pytest.mark.parametrize("size", [8, 13])
def test_each_picture_is_what_the_decoder_gives_of_its_file(tmp_path, size):
    """Of any form, squeezed to a square, and below its class however deep it lies."""
    root = class_folders(tmp_path / "pets", {"cat": 6, "dog/old": 6}, shape=(21, 9, 3))
    noise = np.random.default_rng(1).integers(0, 256, (9, 14, 4), dtype=np.uint8)
    saved(root / "cat", noise[..., :3], "photo.jpg", quality=80)
    saved(root / "cat", noise, "open.png")
    saved(root / "dog", noise[..., 0], "grey.gif")
    turned = Image.Exif()
    turned[0x0112] = 6
    saved(root / "dog", noise[..., :3], "turned.jpg", exif=turned)
    data = data_of(root, f"dataset.size={size}")
    assert data.class_names == ("cat", "dog")
    (root / "dog/old").rename(root / "dog-old")
    found = sum((held(data, part) for part in PARTS), Counter())
    kept = [(name.split("-")[0], image) for name, image in expected(files_in(root), 3, size)]
    assert found == Counter(kept)


def test_what_is_held_out_is_a_tenth_of_every_class_and_nothing_twice(tmp_path):
    counts = {"a": 40, "b": 100, "c": 20, "d": 7, "e": 3}
    root = class_folders(tmp_path / "many", counts)
    data = data_of(root)
    parts = [held(data, part) for part in PARTS]
    assert sum(parts, Counter()) == expected(files_in(root))
    assert max(sum(parts, Counter()).values()) == 1
    for part in ("val", "test"):
        of_each = dict(zip(counts, getattr(data, f"{part}_labels").bincount().tolist()))
        assert of_each == {"a": 4, "b": 10, "c": 2, "d": 1, "e": 1}
    labels = [name for name, count in counts.items() if count > 7 for _ in range(count)]
    _, by_sklearn = train_test_split(labels, test_size=0.1, stratify=labels, random_state=0)
    assert Counter(by_sklearn) == {"a": 4, "b": 10, "c": 2}
    again, other = data_of(root), data_of(root, "dataset.split_seed=1")
    assert [held(again, part) for part in PARTS] == parts
    assert held(other, "test") == parts[2], "a test set is the same whatever is chosen by it"
    assert held(other, "val") != parts[1]


@pytest.mark.parametrize(
    ("names", "given"),
    [
        (("train", "val", "test"), PARTS),
        (("Train", "Validation", "TEST"), PARTS),
        (("training", "valid", "testing"), PARTS),
        (("train", "test"), ("test",)),
        (("train", "val"), ("val",)),
        (("train",), ()),
    ],
)
def test_parts_that_there_are_are_taken_and_the_others_held_out(tmp_path, names, given):
    counts = {f"{name}/{one}": 20 for name in names for one in ("cat", "dog")}
    root = class_folders(tmp_path / "parts", counts)
    data = data_of(root)
    by_part = {name.lower()[:3]: expected(files_in(root / name)) for name in names}
    for part in given:
        if part != "train":
            assert held(data, part) == by_part[part[:3]]
    rest = sum((held(data, part) for part in PARTS if part not in given), Counter())
    assert rest + (held(data, "train") if "train" in given else Counter()) == by_part["tra"]
    for part in ("val", "test"):
        if part not in given:
            assert getattr(data, f"{part}_labels").bincount().tolist() == [2, 2]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("train", "bus", "car"), "has train beside bus, car"),
        (("Test", "bus"), "has Test beside bus"),
        (("train", "val", "test", "unlabelled"), "has test, train, val beside unlabelled"),
        (("train/bus", "train/car", "car"), "has train beside car"),
        (("val", "a", "b", "c", "d"), "has val beside a, b, c, …"),
    ],
)
def test_a_folder_named_as_a_part_may_be_a_class_which_is_asked(tmp_path, names, said):
    root = class_folders(tmp_path / "vehicles", dict.fromkeys(names, 4))
    with pytest.raises(UserError) as refused:
        data_of(root)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(f"dataset.root={root} {said}, and may be divided into parts or ")
    part = next(name for name in said.removeprefix("has ").split(" beside")[0].split(", "))
    assert f"if they are classes, move them all into a folder train ({root}/train/{part})" in line


def test_classes_named_as_parts_are_learned_below_train(tmp_path):
    """Which is the way out that the refusal names."""
    names = ("train", "bus", "test")
    root = class_folders(tmp_path / "vehicles", {f"train/{name}": 10 for name in names})
    data = data_of(root)
    assert data.class_names == ("bus", "test", "train")
    assert sum((held(data, part) for part in PARTS), Counter()) == expected(files_in(root))


def test_what_is_no_folder_of_pictures_is_no_doubt_about_parts(tmp_path):
    root = class_folders(tmp_path / "pets", {f"train/{name}": 10 for name in ("cat", "dog")})
    class_folders(root, {"": 1, ".hidden": 2})
    (root / "notes").mkdir()
    (root / "notes/a.txt").write_text("none")
    (root / "labels.csv").write_text("none")
    (root / "elsewhere").symlink_to(tmp_path)
    data = data_of(root)
    assert data.class_names == ("cat", "dog")
    assert "left out, neither in train, nor in val, nor in test: 1\n" in "\n".join(warnings(data))


def name_of(root, *overrides):
    return run_name(composed(root, *overrides))


def test_a_run_is_of_what_the_pictures_are_not_of_where_they_lie(tmp_path):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    name, before = name_of(root), data_of(root, f"data_dir={tmp_path / 'one'}")
    assert name.startswith("pets-resnet18-s0-")
    moved = shutil.copytree(root, tmp_path / "elsewhere/pets")
    for at, file in enumerate(files_in(moved)):
        os.utime(file, (at, at))
        file.rename(file.with_name(f"{99 - at}.png"))
    assert name_of(moved) == name
    assert data_of(moved, f"data_dir={tmp_path / 'two'}").digest == before.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda root: flip(root / "cat/000.png"),
        lambda root: (root / "cat/000.png").unlink(),
        lambda root: (root / "cat/000.png").rename(root / "dog/9.png"),
        lambda root: (root / "cat").rename(root / "lion"),
        lambda root: shutil.copy(root / "cat/000.png", root / "cat/9.png"),
        lambda root: (
            root.rename(shutil.copytree(root, root.parent / "new/pets/train").parents[2] / "old")
            and (root.parent / "new/pets").rename(root)
        ),
    ],
    ids=["a byte", "one less", "another class", "another name", "twice", "divided"],
)
def test_a_change_of_the_pictures_is_another_run(tmp_path, change):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    before = identity(composed(root))
    change(root)
    assert identity(composed(root)) != before


def test_a_root_is_part_of_a_run_where_the_content_is_not_known():
    """As with a data set of a user's own, whose `root` may be all that tells two apart."""
    cfg = compose([])
    plain = hashed_config(cfg)
    cfg.dataset = dict(cfg.dataset) | {"root": "somewhere"}
    assert hashed_config(cfg)["dataset"] == plain["dataset"] | {"root": "somewhere"}
