"""The classes that `--labels folders` gives to pictures, which are those of training."""

from pathlib import Path

import pytest
from PIL import Image

from reslab.errors import UserError
from reslab.pictures.folder import look_at_folder
from reslab.pictures.labels import read_labels

NAMES = ("cat", "dog")


def by_folder(given, *files, names=NAMES):
    """The classes of files below what was given, by their names, and what is said."""
    paths = [Path(name) for name in files]
    labels = read_labels("folders", names, paths, [Path(one) for one in given.split()])
    found = [labels(path) for path in paths]
    return [None if at is None else names[at] for at in found], labels.said()


def test_a_folder_that_is_no_class_has_no_label_and_is_named():
    files = ("a/cat/1.png", "a/x/1.png", "a/x/y/2.png", "a/Cat/z/1.png", "a/1.png")
    found, said = by_folder("a", *files)
    assert found == ["cat", None, None, None, None]
    assert said == ["folders that are no class, with their files: x (2), Cat (1), a (1)"]
    with pytest.raises(UserError, match="its folder is no class; did you mean cat"):
        by_folder("a", "a/Cat/z/1.png")


@pytest.mark.parametrize(
    ("given", "file", "expected"),
    [
        ("pets", "pets/cat/2024/b.png", "cat"),
        ("pets", "pets/cat/dog/b.png", "cat"),
        ("pets", "pets/2024/cat/dog/b.png", "cat"),
        ("pets/", "pets/./x/../cat/b.png", "cat"),
        ("pets", "pets/test/cat/dog/b.png", "cat"),
        ("dog/pets", "dog/pets/cat/b.png", "cat"),
        ("pets/cat", "pets/cat/b.png", "cat"),
        ("pets/cat", "pets/cat/2024/b.png", "cat"),
        ("pets/cat/2024", "pets/cat/2024/b.png", "cat"),
        ("pets/cat/b.png", "pets/cat/b.png", "cat"),
        ("pets/cat/2024/b.png", "pets/cat/2024/b.png", "cat"),
        ("dog/x/cat/2024", "dog/x/cat/2024/b.png", "cat"),
        ("pets/cat pets/dog", "pets/cat/dog/b.png", "cat"),
        ("pets/cat/dog pets", "pets/cat/dog/b.png", "cat"),
        ("pets/cat/a.png pets/cat/b.png", "pets/cat/b.png", "cat"),
        ("dog/x dog/y", "dog/x/cat/b.png", "cat"),
    ],
)
def test_a_picture_is_of_the_folder_that_training_takes(given, file, expected):
    assert by_folder(given, file)[0] == [expected]


def test_of_classes_called_as_parts_are_the_folder_below_is_meant_as_in_training():
    vehicles = ("plane", "train")
    divided = ("v/train/train/1.png", "v/train/plane/1.png", "v/Test/plane/train/1.png")
    expected = ["train", "plane", "plane"]
    assert by_folder("v", *divided, names=vehicles)[0] == expected
    assert by_folder("v/train v/Test", *divided, names=vehicles)[0] == expected
    assert by_folder("v/train", *divided[:2], names=vehicles)[0] == expected[:2]
    assert by_folder("v", "v/train/1.png", "v/plane/1.png", names=vehicles)[0] == ["train", "plane"]


def test_a_class_above_what_was_given_is_taken_if_none_is_below_and_is_said():
    found, said = by_folder("cat/pets", "cat/pets/dog/1.png", "cat/pets/x/1.png")
    assert found == ["dog", None]
    assert said == ["folders that are no class, with their files: x (1)"]
    found, said = by_folder("cat", "cat/dog/1.png", "cat/1.png")
    assert (found, said) == (["dog", "cat"], [])
    found, said = by_folder("cat/pets", "cat/pets/x/1.png", "cat/pets/2.png")
    assert found == ["cat", "cat"]
    where = Path("cat").absolute()
    assert said == [
        f"folders above what was given that are the class, with their files: {where} (2)"
    ]


def test_all_are_of_the_class_that_training_on_the_folder_gives_them(tmp_path):
    files = ("cat/1", "cat/dog/2", "cat/2024/3", "dog/cat/cat/4", "dog/x/train/5")
    for layout in ("plain", "divided/train"):
        for number, name in enumerate(files):
            path = tmp_path / f"{layout}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), number).save(path)
        root = tmp_path / Path(layout).parts[0]
        pictures = look_at_folder(root).pictures
        names = [str(picture.path) for picture in pictures]
        trained = [picture.class_name for picture in pictures]
        assert sorted(trained) == ["cat", "cat", "cat", "dog", "dog"]
        assert by_folder(str(root), *names)[0] == trained
        part = tmp_path / layout
        assert by_folder(f"{part}/cat {part}/dog", *names)[0] == trained


def test_class_names_that_are_numbers_are_names():
    paths = [Path("a/3/x.png"), Path("a/0/x.png")]
    labels = read_labels("folders", ("1", "2", "3"), paths)
    assert [labels(path) for path in paths] == [2, None]
    assert read_labels("folders", NAMES, [Path("a/1/x.png")])(Path("a/1/x.png")) == 1
    pictures = ["x/1/cat/1.png", "x/1/2.png"]
    assert by_folder("x", *pictures)[0] == ["cat", None]
    assert by_folder("x", *pictures[1:])[0] == ["dog"]
