"""Capsules from strangers: what they unpack to, and what is refused before it is unpacked."""

import stat
import zipfile
from datetime import date
from urllib.parse import unquote

import pytest
from rocrate.rocrate import ROCrate

from reslab.capsule import archive
from reslab.capsule.archive import pack, unpack
from reslab.capsule.crate import faults
from reslab.capsule.describe import describe
from reslab.capsule.layout import METADATA
from reslab.capsule.numbers import differences
from reslab.errors import UserError


def test_of_the_same_files_it_is_the_same_zip_in_any_order(tmp_path):
    first = pack({"b/c.txt": b"c", "a.txt": b"a" * 1000})
    assert first == pack({"a.txt": b"a" * 1000, "b/c.txt": b"c"})
    (tmp_path / "x.zip").write_bytes(first)
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        assert file.namelist() == ["a.txt", "b/c.txt"]
        assert file.testzip() is None
        assert {one.date_time[0] for one in file.infolist()} == {1980}


def write(path, *members):
    """A zip of (name, mode, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("good.txt", "good")
        for name, mode, content in members:
            one = zipfile.ZipInfo(name)
            one.external_attr = mode << 16
            file.writestr(one, content, zipfile.ZIP_DEFLATED)


PLAIN = stat.S_IFREG | 0o644
REFUSED = {
    "above": ("../escaped.txt", PLAIN, "evil"),
    "within": ("a/../../escaped.txt", PLAIN, "evil"),
    "backslash": ("..\\escaped.txt", PLAIN, "evil"),
    "absolute": ("/tmp/reslab-escaped.txt", PLAIN, "evil"),
    "drive": ("C:escaped.txt", PLAIN, "evil"),
    "link": ("way", stat.S_IFLNK | 0o777, "../.."),
    "device": ("device", stat.S_IFCHR | 0o666, ""),
    "twice": ("GOOD.txt", PLAIN, "evil"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_to_be_unpacked_is_refused_in_a_line_and_nothing_is_written(case, tmp_path):
    path, folder = tmp_path / "x.zip", tmp_path / "a/b"
    folder.mkdir(parents=True)
    write(path, REFUSED[case])
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="is not unpacked, for") as refused:
        unpack(path, folder)
    assert REFUSED[case][0] in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_a_bomb_is_refused_before_it_goes_off(limit, tmp_path, monkeypatch):
    path = tmp_path / "x.zip"
    write(path, *((f"{at}.bin", PLAIN, b"\0" * 1_000_000) for at in range(20)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(archive, limit, {"MOST_BYTES": 10_000_000, "MOST_FILES": 10}[limit])
    with pytest.raises(UserError, match="it holds more than"):
        unpack(path, tmp_path / "folder")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_larger_than_it_says_is_refused(tmp_path):
    """The sizes are a stranger's words, too."""
    path, folder = tmp_path / "x.zip", tmp_path / "folder"
    write(path, ("big.bin", PLAIN, b"\0" * 1_000_000))
    content = path.read_bytes()
    path.write_bytes(content.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    folder.mkdir()
    with pytest.raises(UserError, match="is no zip, or a damaged one"):
        unpack(path, folder)
    assert sum(one.stat().st_size for one in folder.iterdir()) < 100


@pytest.mark.parametrize("how", ["gone", "empty", "rubbish", "cut", "flipped", "a folder"])
def test_what_is_no_zip_is_said_to_be_none(how, tmp_path):
    path = tmp_path / "x.zip"
    write(path, ("a.txt", PLAIN, bytes(range(256)) * 20))
    content = path.read_bytes()
    middle = content.index(b"a.txt") + 30
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "gone":
        spoilt = {"empty": b"", "rubbish": b"rubbish", "cut": content[:-40], "flipped": flipped}
        path.write_bytes(spoilt[how])
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"x\.zip is no zip, or a damaged one"):
        unpack(path, tmp_path / "folder")


def test_names_that_an_address_cannot_have_come_back_from_the_metadata(tmp_path):
    """Data sets of people's own are called as they like, and several are joined by a plus."""
    files = {
        name: name.encode() for name in ("mnist+cifar10/a.md", "my dögs/100 %.csv", "a#b?.json")
    }
    made = describe(files, "title", "description", date(2024, 5, 1), "MIT")
    files[METADATA] = made
    (tmp_path / "x.zip").write_bytes(pack(files))
    digests = unpack(tmp_path / "x.zip", tmp_path / "folder")
    assert faults(tmp_path / "folder", digests) == []
    entities = ROCrate(tmp_path / "x.zip").data_entities
    assert {unquote(one.id) for one in entities} == files.keys() - {METADATA}


TABLE = {"rows": [{"model": "A", "accuracy": 84.0, "interval": [83.0, None]}], "remarks": ["x"]}


@pytest.mark.parametrize(
    ("said", "whole", "expected"),
    [
        (TABLE, True, []),
        ({"rows": [{"model": "A", "accuracy": 84 + 1e-12, "interval": [83, None]}]}, False, []),
        ({"rows": [{"model": "B", "accuracy": 84.0}], "remarks": []}, False, []),
        ({"rows": [{"model": "A", "accuracy": 84.1}]}, False, ["rows[0].accuracy is 84.1"]),
        ({"rows": [{"accuracy": "84.0"}]}, False, ["rows[0].accuracy is '84.0'"]),
        ({"rows": [{"interval": [83.0, 85.0]}]}, False, ["rows[0].interval[1] is 85.0"]),
        ({"rows": []}, False, ["rows has 0 entries, and 1"]),
        (TABLE | {"remarks": ["y"]}, True, ["remarks[0] is 'y'"]),
        (TABLE | {"more": 1}, True, ["it has or lacks more"]),
    ],
)
def test_numbers_of_a_table_that_are_not_the_records_are_named(said, whole, expected):
    found = list(differences(said, TABLE, whole))
    assert len(found) == len(expected)
    for line, part in zip(found, expected):
        assert line.startswith(part), line
