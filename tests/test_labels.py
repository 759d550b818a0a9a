"""What files of labels say, how else they may be written, and how they are refused."""

from pathlib import Path

import pytest

from reslab.errors import UserError
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
    [
        *((";", "semicolons"), ("\t", "tabs"), ("|", "bars"), (" ", "spaces"), ("  ", "spaces")),
        (":", "colons"),
    ],
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
    ("text", "names"),
    [
        ("image,cat,dog\n1.png,1,0\n2.png,0,1\n", NAMES),
        ("image;dog;cat\n1.png;0;1\n2.png;1;0\n", NAMES),
        ("Bild,cat,dog\n1.png,1.0,0.0\n2.png,0.0,1.0\n3.png,,\n", NAMES),
        (",width,cat,path,dog\n0,8,1,1.png,0\n1,8,0,2.png,1\n", NAMES),
        ("image,0,1\n1.png,1,0\n2.png,0,1\n", ("0", "1")),
        ("image,0,1\n1.png,1,0\n2.png,0,1\n", NAMES),
        ("Bild,0,1,2\n1.png,1,0,0\n2.png,0,1,0\n", ("0", "1", "2")),
        ("image,1,0,2\n1.png,0,1,0\n2.png,1,0,0\n", ("0", "1", "2")),
    ],
)
def test_a_column_for_each_class_has_a_1_for_the_class(tmp_path, text, names):
    classes, labels = read(tmp_path, text, names=names)
    assert classes == [0, 1, None]
    assert "columns of classes have a 1 for the class" in labels.said()[0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1.png,cat,dog\n2.png,dog,dog\n", NAMES),  # its class, and what somebody else said
        ("1.png,0,1\n2.png,1,0\n", ("0", "1")),
        ("image,label,cat,dog\n1.png,cat,0,1\n2.png,dog,1,0\n", NAMES),
    ],
)
def test_classes_in_several_columns_are_not_taken_for_a_column_for_each(tmp_path, text, names):
    assert read(tmp_path, text, names=names)[0] == [0, 1, None]


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
        ("1.png\n2.png\n", "truth.csv: line 1: 1.png: not a file and a class, separated by commas"),
        ("1.png;cat\n2.png\n", "2.png: not a file and a class, separated by semicolons"),
        ("1.png:caat\n2.png:dog\n", "line 1: 1.png, caat: not a file and a class; did you mean"),
        ("C:\\1.png,caat\n", r"line 1: C:\1.png, caat: not a file and a class; did you mean"),
        ("f,cat,dog\n1.png,1,0\n2.png,1\n", "line 3: 2.png: one 1 and else 0 is to stand under"),
        (
            "image,cat,dog\n1.png,1,1\n",
            "line 2: 1.png: one 1 and else 0 is to stand under cat, dog",
        ),
        ("image,cat,dog\n1.png,1,0\n2.png,0,0\n", "line 3: 2.png: one 1 and else 0 is to stand"),
        ("image,cat,dog\n1.png,0.2,0.8\n", "line 2: 1.png: one 1 and else 0 is to stand under"),
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
