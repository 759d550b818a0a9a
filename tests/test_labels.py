"""What files of labels say, and how they are refused."""

from pathlib import Path

import pytest

from reslab.errors import UserError
from reslab.pictures.labels import nothing_labelled, read_labels

NAMES = ("cat", "dog")


def labels_of(folder: Path, text: str) -> list[int | None]:
    """Of `1.png`, `2.png` and `3.png`."""
    (folder / "truth.csv").write_text(text)
    truth = read_labels(str(folder / "truth.csv"), NAMES)
    return [truth(folder / f"{number}.png") for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file,label\n1.png,cat\n2.png,dog\n", [0, 1, None]),
        ("1.png,cat\n2.png,dog\n", [0, 1, None]),
        ("1.png,1\n2.png,0\n", [1, 0, None]),
        ("\n file , label \n 1.png , cat \n3.png,\tdog\n", [0, None, 1]),
        ("file,label\n1.png,\n2.png, \n3.png,dog\n", [None, None, 1]),
        ("file,label\n1.png,cat\n1.png,cat\n./1.png,\n", [0, None, None]),
        ("", [None, None, None]),
    ],
)
def test_headings_and_blanks_may_be_there_or_not(tmp_path, text, expected):
    assert labels_of(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.png,cat\n./1.png,dog\n", "truth.csv: ./1.png has two classes: leave one of its rows"),
        ("1.png,cat\n2.png,dgo\n", "truth.csv: 2.png, dgo: not a file and a class; did you mean"),
        ("1.png,cat\n2.png\n", "truth.csv: 2.png: not a file and a class"),
    ],
)
def test_rows_that_contradict_or_name_no_class_are_refused(tmp_path, text, said):
    with pytest.raises(UserError) as refused:
        labels_of(tmp_path, text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_no_class_has_no_label():
    truth = read_labels("folders", NAMES)
    assert [truth(Path(path)) for path in ("a/cat/1.png", "cat/a/1.png")] == [0, None]
    said = str(nothing_labelled("folders", NAMES, 2))
    assert "its folder is no class; choose from cat, dog" in said


def test_class_names_that_are_numbers_are_names():
    truth = read_labels("folders", ("1", "2", "3"))
    assert truth(Path("a/3/x.png")) == 2
    assert truth(Path("a/0/x.png")) is None
    assert read_labels("folders", ("cat", "dog"))(Path("a/1/x.png")) == 1
