"""What files of labels say, how else they may be written, and how they are refused."""

from pathlib import Path

import pytest
from PIL import Image

from reslab.errors import UserError
from reslab.pictures.folder import look_at_folder
from reslab.pictures.labels import read_labels

NAMES = ("cat", "dog")


def read(folder: Path, text: str | bytes, *files: str, names=NAMES):
    """The labels of files in the folder of a table, by default `1.png`, `2.png` and `3.png`."""
    content = text.encode() if isinstance(text, str) else text
    (folder / "truth.csv").write_bytes(content)
    paths = [folder / name for name in files or ("1.png", "2.png", "3.png")]
    labels = read_labels(str(folder / "truth.csv"), names, paths)
    return [labels(path) for path in paths], labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file,label\n1.png,cat\n2.png,dog\n", [0, 1, None]),
        ("1.png,cat\n2.png,dog\n", [0, 1, None]),
        ("1.png,1\n2.png,0\n", [1, 0, None]),
        ("\n file , label \n 1.png , cat \n3.png,\tdog\n", [0, None, 1]),
        ("file,label\n1.png,\n2.png, \n3.png,dog\n", [None, None, 1]),
        ("file,label\n1.png,cat\n1.png,cat\n./1.png,\n", [0, None, None]),
        ('"1.png","cat"\n\n,\n', [0, None, None]),
    ],
)
def test_headings_and_blanks_may_be_there_or_not(tmp_path, text, expected):
    classes, labels = read(tmp_path, text)
    assert classes == expected
    assert labels.said() == []


@pytest.mark.parametrize(
    ("separator", "name"),
    [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "spaces"), ("  ", "spaces")],
)
@pytest.mark.parametrize("headings", ["", "file,label\n"])
def test_columns_may_be_separated_otherwise_which_is_said(tmp_path, separator, name, headings):
    text = f"{headings}1.png,cat\n2.png,dog\n".replace(",", separator)
    classes, labels = read(tmp_path, text)
    assert classes == [0, 1, None]
    assert labels.said() == [f"{tmp_path}/truth.csv: its columns are separated by {name}"]


@pytest.mark.parametrize(
    "text",
    [
        "a,b.png;cat\n2.png;dog\n",
        '"a,b.png";"cat"\n"2.png";"dog"\n',
        '"a,b.png",cat\n2.png,dog\n',
        "sep=;\na,b.png;cat\n2.png;dog\n",
        "a,b.png\tcat\n2.png\tdog\n",
        '"a,b.png" cat\n2.png dog\n',
    ],
)
def test_a_comma_in_a_name_separates_nothing(tmp_path, text):
    assert read(tmp_path, text, "a,b.png", "2.png")[0] == [0, 1]


@pytest.mark.parametrize(
    "content",
    [
        "ä.png,cat\n".encode("utf-8-sig"),
        "ä.png,cat\n".encode("utf-16"),
        "ä.png\tcat\r\n".encode("utf-16"),
        "ä.png,cat\n".encode("latin-1"),
        "a\u0308.png,cat\n".encode(),  # as Apple's file systems have it
        "Ä.PNG,cat\r\n".encode(),
    ],
)
def test_a_name_may_be_written_in_any_encoding_of_it(tmp_path, content):
    assert read(tmp_path, content, "ä.png")[0] == [0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,label\n1,cat\n2,dog\n", []),
        ("label,file\ncat,1.png\ndog,2.png\n", ["its columns file and label are read"]),
        (
            ",Filename,Width,Class\n0,1.png,8,cat\n1,2.png,8,dog\n",
            ["its columns Filename and Class are read"],
        ),
        ("id,image_path,label\n7,1.png,cat\n8,2.png,dog\n", ["its columns image_path and label"]),
        ("1.png,cat,0.3\n2.png,dog,0.4\n", ["of its 3 columns the first two are read"]),
        (
            "Bild,Klasse\n1.png,cat\n2.png,dog\n",
            ["its first row (Bild, Klasse) is taken for headings"],
        ),
        (
            "image;tag\n1.png;cat\n2.png;dog\n",
            ["separated by semicolons; its first row (image, tag)"],
        ),
    ],
)
def test_columns_are_known_by_their_headings(tmp_path, text, said):
    classes, labels = read(tmp_path, text)
    assert classes == [0, 1, None]
    lines = [line for line in labels.said() if "but for" not in line]
    assert len(lines) == len(said)
    assert all(expected in line for expected, line in zip(said, lines, strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.png,cat\n./1.png,dog\n", "truth.csv: ./1.png has two classes: leave one of its rows"),
        ("1.png,cat\n1,dog\n", "truth.csv: 1 has two classes: leave one of its rows"),
        ("1.png,cat\n2.png,dgo\n", "line 2: 2.png, dgo: not a file and a class; did you mean dog?"),
        (
            "1.png,caat\n2.png,dog\n",
            "line 1: 1.png, caat: not a file and a class; did you mean cat?",
        ),
        ("1,bird\n2,dog\n", "line 1: 1, bird: not a file and a class; choose from"),
        ("9.png,bird\n2.png,dog\n", "line 1: 9.png, bird: not a file and a class"),
        ("nine,caat\n2.png,dog\n", "line 1: nine, caat: not a file and a class"),
        ("file,label\n1.png,caat\n", "line 2: 1.png, caat: not a file and a class; did you mean"),
        ("1.png;caat\n2.png;dgo\n", "line 1: 1.png, caat: not a file and a class"),
        ("1.png,cat\n2.png\n", "truth.csv: line 2: 2.png: not a file and a class"),
        ("1.png\n2.png\n", "truth.csv: line 1: 1.png: not a file and a class"),
        ("cat,1.png\ndog,2.png\n", "line 1: cat, 1.png: not a file and a class"),
        (b"PK\3\4\0\0\0\0", "truth.csv is not a CSV file"),
        ("", "it names none of the 3 files"),
        ("file,label\n", "it names none of the 3 files"),
        ("8.png,cat\n9.png,dog\n", "none of the 3 files; 2 of 2 rows name no file: 8.png, 9.png"),
    ],
)
def test_rows_that_contradict_or_name_no_class_are_refused(tmp_path, text, said):
    with pytest.raises(UserError) as refused:
        read(tmp_path, text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("row", "file"),
    [
        ("3", "3.png"),
        ("3", "train/3.jpeg"),
        ("3.png", "train/sub/3.png"),
        ("sub\\3.png", "sub/3.png"),
        (".\\sub\\3.png", "sub/3.png"),
        ("./sub//3.png", "sub/3.png"),
        ("sub/3", "train/sub/3.png"),
        ("3.PNG", "3.png"),
        ("SUB/3.png", "sub/3.png"),
        ("a.b", "a.b.png"),
        ("../x/3", "../x/3.png"),
    ],
)
def test_a_name_that_is_not_to_the_letter_is_matched_if_one_file_alone_is_meant(
    tmp_path, row, file
):
    other = ("dog/other.png", "4.png", "sub/33.png")
    classes, labels = read(tmp_path, f"{row},cat\n4.png,dog\n", file, *other)
    assert classes == [0, None, 1, None]
    assert labels.rows == 2
    assert not labels.nameless.count
    assert labels.alike.count == (Path(row) != Path(file))


def test_the_file_that_is_named_to_the_letter_goes_before_others(tmp_path):
    files = ("3", "3.png", "sub/3.png", "sub/3")
    assert read(tmp_path, "3,cat\nsub/3.png,dog\n", *files)[0] == [0, None, 1, None]
    assert read(tmp_path, "3,cat\n", "sub/3.png", "3.png")[0] == [None, 0]


def test_rows_that_may_name_several_files_or_none_are_counted_and_named(tmp_path):
    (tmp_path / "there.png").touch()
    rows = [
        ("3", "cat"),
        ("2.png", "dog"),
        *((f"{n}.jpg", "cat") for n in range(4)),
        ("there.png", "cat"),
    ]
    text = "".join(f"{file},{name}\n" for file, name in rows)
    classes, labels = read(tmp_path, text, "3.png", "3.webp", "2.png")
    assert classes == [None, None, 1]
    assert labels.said() == [
        "4 of 7 rows name no file: 0.jpg, 1.jpg, 2.jpg, …",
        "1 of 7 rows may name several files: 3",
        "1 of 7 rows name files that were not given",
    ]
    assert labels.as_json() == {
        "rows": 7,
        "rows_naming_no_file": 4,
        "rows_naming_several_files": 1,
        "rows_naming_files_not_given": 1,
        "files_without_label": 2,
        "remarks": labels.said(),
    }
    assert labels.unlabelled.names == [str(tmp_path / "3.png"), str(tmp_path / "3.webp")]


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
