"""What is said of a folder of pictures: its colors, what is refused in it, and what is left out."""

import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from folders import (
    PARTS,
    Told,
    class_folders,
    composed,
    data_of,
    expected,
    files_in,
    held,
    warnings,
)
from pictures import saved
from reslab.cli.group import cli
from reslab.errors import UserError
from reslab.pictures import decode as decoder
from reslab.pictures.folder import look_at_folder
from reslab.pictures.look import look
from reslab.terminal.networks import print_data

pytestmark = pytest.mark.usefixtures("in_empty_folder")


GREY = np.arange(120, dtype=np.uint8).reshape(12, 10)


def save_all_kinds(folder):
    """Pictures in the modes that there are, without colors and with."""
    color = np.stack([GREY, GREY.T.reshape(12, 10), GREY[::-1]], -1)
    open_grey, open_color = (
        Image.merge(mode, [*Image.fromarray(array).split(), Image.new("L", (10, 12), 200)])
        for mode, array in {"LA": GREY, "RGBA": color}.items()
    )
    images = {
        "grey.png": Image.fromarray(GREY),
        "grey.jpg": Image.fromarray(GREY),
        "grey.bmp": Image.fromarray(GREY),
        "grey.tif": Image.fromarray(GREY),
        "grey.gif": Image.fromarray(GREY),
        "grey.pgm": Image.fromarray(GREY),
        "bits.png": Image.fromarray(GREY > 60),
        "deep.png": Image.fromarray(GREY.astype(np.uint16) * 257),
        "open.png": open_grey,
        "color.png": Image.fromarray(color),
        "color.jpg": Image.fromarray(color),
        "color.bmp": Image.fromarray(color),
        "color.gif": Image.fromarray(color).quantize(8),
        "color.ppm": Image.fromarray(color),
        "palette.png": Image.fromarray(color).quantize(8),
        "open_color.png": open_color,
        "open_color.webp": open_color,
        "print.jpg": Image.fromarray(color).convert("CMYK"),
    }
    for name, image in images.items():
        image.save(folder / name)
    return [folder / name for name in images]


def test_a_look_says_of_colors_what_decoding_does(tmp_path):
    looks = {file.name: look(file).is_grey for file in save_all_kinds(tmp_path)}
    notes = {name: decoder.decode(tmp_path / name, 3, 4)[1] for name in looks}
    assert looks == {name: "gray to color" in notes[name] for name in looks}
    assert set(looks.values()) == {True, False}
    assert [looks[name] for name in ("grey.gif", "deep.png", "palette.png")] == [True, True, False]


@pytest.mark.parametrize(("colored", "channels"), [((), 1), (("dog",), 3), (("cat", "dog"), 3)])
def test_channels_are_found(tmp_path, colored, channels):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4}, shape=(12, 10))
    for name in colored:
        class_folders(root, {f"{name}/more": 1})
    cfg = composed(root)
    assert (cfg.dataset.channels, cfg.dataset.num_classes) == (channels, 2)
    data = data_of(root)
    assert data.train_images.shape[1:] == (channels, 8, 8)
    assert sum((held(data, p) for p in PARTS), Counter()).total() == len(files_in(root))


def test_channels_can_be_chosen_and_classes_only_be_right(tmp_path):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    grey = data_of(root, "dataset.channels=1")
    assert sum((held(grey, p) for p in PARTS), Counter()) == expected(files_in(root), 1)
    with pytest.raises(UserError, match="pets has 3 channels and 2 classes, not 3 and 5"):
        data_of(root, "dataset.num_classes=5")


@pytest.mark.parametrize(
    ("counts", "asked", "text"),
    [
        ({"cat": 4, "dog": 2}, [], r"the class dog has 2 pictures, too few for train, test, val"),
        ({"train/a": 4, "train/b": 1, "test/a": 1}, [], r"class b has 1 picture, too few for"),
        ({"cat": 4}, [], r"one class alone, cat, .* give dataset.root=.*/cat$"),
        ({"": 4}, [], r"none of its 4 pictures is one of a class, such as .*: not in a class's f"),
        ({"test/cat": 4, "val/cat": 4}, [], r"has test, val and no folder train$"),
        ({"train/a": 4, "train/b": 4, "val/c": 1}, [], r"of the class c, which val has and train"),
        ({"train/a": 4, "val/a": 1, "valid/a": 1}, [], r"has val and valid: keep one of them"),
        ({"cat": 4, "dog": 4}, ["val_size=3"], r"dataset.val_size=3 .*: choose val_share"),
        ({"cat": 4, "dog": 4}, ["val_share=0"], r"dataset.val_share must be a number from"),
        ({"cat": 4, "dog": 4}, ["test_share=0.9"], r"dataset.val_share=0.1 and test_share=0.9"),
        ({"cat": 4, "dog": 4}, ["unreadable=x"], r"dataset.unreadable must be one of refuse, skip"),
        (
            {"cat": 4, "dog": 4},
            ["batch_size=50"],
            r"^dataset.batch_size=50 is more than the 4 training images: choose at most 4$",
        ),
    ],
)
def test_what_is_no_data_set_is_refused_in_a_line(tmp_path, counts, asked, text):
    root = class_folders(tmp_path / "root", counts)
    with pytest.raises(UserError, match=text) as refused:
        data_of(root, *(f"dataset.{one}" for one in asked))
    assert "\n" not in str(refused.value)


def test_where_there_is_no_folder_a_line_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for root, text in {
        "null": r"^dataset=folder needs dataset.root=DIR, a folder with a folder a class$",
        "nowhere": rf"^dataset.root=nowhere: there is no such folder \({tmp_path}/nowhere\)$",
        "file": r"^dataset.root=file is a file, and is to be a folder: put the pictures",
        "empty": r"^dataset.root: empty has no pictures in it \(PNG, .*; put the pictures",
    }.items():
        with pytest.raises(UserError, match=text):
            data_of(root)


@pytest.fixture
def mess(tmp_path):
    """A folder as they are found."""
    root = class_folders(tmp_path / "mess", {"cat": 12, "dog": 5, "extra": 4})
    content = (root / "cat/000.png").read_bytes()
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = saved(tmp_path, noise, "whole.jpg").read_bytes()
    (root / "dog/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "cat/none.png").write_bytes(b"")
    for name in (".DS_Store", "Thumbs.db", "cat/._000.png", "loose.png"):
        (root / name).write_bytes(content)
    (root / "notes.txt").write_text("of a cat and a dog")
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        class_folders(root, {f"{name}/cat": 3})
    (root / "cat/link.png").symlink_to(tmp_path / "whole.jpg")
    (root / "dog/copy.png").write_bytes(content)
    return root


def test_what_cannot_be_read_is_refused_or_left_out_and_listed(mess, capsys):
    with pytest.raises(UserError) as refused:
        data_of(mess)
    assert str(refused.value).startswith("2 of 24 pictures cannot be read, such as ")
    assert str(refused.value).endswith(
        "mend or delete them, or leave them out by dataset.unreadable=skip; `reslab data` lists "
        "them all"
    )
    data = data_of(mess, "dataset.unreadable=skip")
    assert sum((held(data, part) for part in PARTS), Counter()).total() == 22
    unreadable = warnings(data)[0]
    lines = unreadable.splitlines()
    assert lines[0] == "2 of 24 pictures cannot be read"
    assert f"  {mess}/cat/none.png: the file is empty" in lines
    assert any(line.startswith(f"  {mess}/dog/cut.jpg: damaged: ") for line in lines)
    again = data_of(mess, "dataset.unreadable=skip")  # from what was kept
    assert again.digest == data.digest
    assert again.remarks == data.remarks


def looked_at(*overrides):
    """What `reslab data folder` prints, and with what it ends."""
    asked = ["data", "folder", "dataset.size=8", *overrides]
    done = CliRunner().invoke(cli, asked)
    return done.stdout.splitlines(), done.exception


def test_one_looks_at_a_folder_with_pictures_that_cannot_be_read(mess):
    """All that is known is shown, with every such file and why, and then what to do."""
    for at in range(12):
        (mess / f"dog/none{at}.png").write_bytes(b"")
    refused, error = looked_at(f"dataset.root={mess}")
    assert str(error) == (
        "14 of 36 pictures cannot be read, so that no training begins: mend or delete them, or "
        "leave them out by dataset.unreadable=skip"
    )
    skipped, none = looked_at(f"dataset.root={mess}", "dataset.unreadable=skip")
    assert none is None
    assert refused == skipped
    for name in ("cat/none.png", *(f"dog/none{at}.png" for at in range(12))):
        assert f"  {mess}/{name}: the file is empty" in refused
    rows = [line.split() for line in refused]
    assert ["cat", "10", "1", "1"] in rows
    assert any(line.startswith("the largest class has 5.0 times") for line in refused)


def test_what_cannot_be_read_is_listed_where_nothing_is_left_of_a_class(tmp_path):
    root, told = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4}), Told()
    for file in files_in(root / "dog")[:3]:
        file.write_bytes(b"")
    with pytest.raises(
        UserError, match="the class dog has 1 picture, too few for train, test, val"
    ):
        data_of(root, reporter=told)
    (warned,) = told.said
    assert warned.splitlines()[0] == "3 of 8 pictures cannot be read"
    assert len(warned.splitlines()) == 4


def test_one_looks_at_a_folder_with_fewer_pictures_than_a_batch(tmp_path):
    root = class_folders(tmp_path / "pets", {"cat": 13, "dog": 13})
    lines, error = looked_at(f"dataset.root={root}")
    assert error is None
    assert lines[0].startswith("pets: verified; 22 training, 2 validation, 2 test images of 3x8x8")
    line = "dataset.batch_size=32 is more than the 22 training images: choose at most 22"
    assert lines[-1] == line
    with pytest.raises(UserError) as refused:
        data_of(root, "dataset.batch_size=32")
    assert str(refused.value) == line
    assert len(data_of(root, "dataset.batch_size=22").train_dataloader()) == 1


def test_what_is_left_out_of_a_folder_is_counted_and_what_is_twice_in_it_said(mess, capsys):
    print_data(data_of(mess, "dataset.unreadable=skip"))
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "left out, not in a class's folder: 1",
        f"  {mess}/loose.png",
        "left out, a link that leads out of the folder: 1",
        f"  {mess}/cat/link.png",
        "the same picture in two classes: 1",
        "in color, 10x12 to 40x40 pixels, median 10x12",
    ):
        assert line in lines, line
    copies = {f"{mess}/dog/copy.png", f"{mess}/cat/000.png"}
    assert any(set(line.strip().split(" is ")) == copies for line in lines)
    (skipped,) = [line for line in lines if line.startswith("skipped: ")]
    for part in ("3 hidden (", "2 hidden folder", "1 .txt (notes.txt)"):
        assert part in skipped
    rows = [line.split() for line in lines[-4:-1]]
    assert rows == [["cat", "10", "1", "1"], ["dog", "4", "1", "1"], ["extra", "2", "1", "1"]]
    assert lines[-1].startswith("the largest class has 5.0 times the training images of the")


def test_a_picture_in_two_parts_is_said(tmp_path):
    root = class_folders(tmp_path / "pets", {"train/cat": 4, "train/dog": 4, "test/cat": 2})
    shutil.copy(root / "train/cat/001.png", root / "test/cat/9.png")
    (root / "test/unlabelled.png").write_bytes(b"x")
    warned = "\n".join(warnings(data_of(root)))
    assert "the same picture in two of train, val and test: " in warned
    assert "test/cat/9.png" in warned
    assert "left out, not in a class's folder: 1\n" in warned


def test_ten_files_are_named_in_a_warning_and_all_where_one_asks(tmp_path, capsys):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4, "": 14})
    data = data_of(root)
    (warning,) = warnings(data)
    assert len(warning.splitlines()) == 12
    assert warning.splitlines()[-1] == "  and 4 more"
    print_data(data)
    assert capsys.readouterr().out.count(f"  {root}/0") == 14


def test_a_folder_s_name_is_the_data_set_s_as_far_as_it_is_good_in_names(tmp_path):
    for name, expected_name in {
        "My pets (2024)!": "My_pets_2024",
        "Tiere-größer": "Tiere-größer",
        "...": "folder",
    }.items():
        root = class_folders(tmp_path / f"{name}/", {"a": 1, "b": 1})
        assert look_at_folder(root).name == expected_name
    assert composed(f"'{tmp_path}/My pets (2024)!'", "dataset.name=pets").dataset.name == "pets"


def test_normalization_is_the_training_set_s(tmp_path):
    data = data_of(class_folders(tmp_path / "pets", {"cat": 9, "dog": 9}))
    pixels = data.train_images.double() / 255
    assert torch.allclose(data.normalization.mean.flatten().double(), pixels.mean((0, 2, 3)))
