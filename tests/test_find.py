"""Picture files found in folders, whatever lies in them."""

import io
import os
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from reslab.errors import UserError
from reslab.pictures.find import Skipped, find_pictures
from reslab.pictures.formats import FORMATS, HAS_AVIF, format_of


def test_a_thousand_folders_in_each_other_are_walked(tmp_path):
    folder = tmp_path
    for _ in range(1_100):
        folder = folder / "a"
        folder.mkdir()
    (folder / "1.png").touch()
    found = [found.path for found in find_pictures([tmp_path])]
    subprocess.run(["rm", "-r", str(tmp_path / "a")], check=True)  # pytest would stumble over it
    assert found == [folder / "1.png"]


def test_folders_are_walked_and_what_leads_out_or_blocks_is_said(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "b").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "b" / "2.png", inside / "1.JPG", outside / "3.png"):
        path.touch()
    (inside / "notes.txt").touch()
    (inside / "to file.png").symlink_to(outside / "3.png")
    (inside / "to folder").symlink_to(outside)
    (inside / "to notes.txt").symlink_to(outside / "notes.txt")
    (inside / "loop").symlink_to(inside)
    (inside / "same.png").symlink_to(inside / "1.JPG")
    (inside / "gone.png").symlink_to(inside / "nothing.png")
    os.mkfifo(inside / "pipe.png")
    found = {str(f.path.relative_to(inside)): f.problem for f in find_pictures([inside])}
    assert found == {
        "1.JPG": None,
        "b/2.png": None,
        "gone.png": "cannot be read: No such file or directory",
        "loop": "a link to a folder",
        "pipe.png": "not a regular file",
        "same.png": None,
        "to file.png": "a link that leads out of the folder",
        "to folder": "a link that leads out of the folder",
    }
    assert list(found) == sorted(found)


def names_and_skipped(folder):
    """Of what was found, below the folder; of what was skipped, by kind."""
    skipped = Skipped()
    found = [str(f.path.relative_to(folder)) for f in find_pictures([folder], skipped=skipped)]
    return found, {kind: one.count for kind, one in skipped.kinds.items()}, skipped


def content_of(form: str) -> bytes:
    """A picture as Pillow writes it."""
    content = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(content, form)
    return content.getvalue()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["1", "1.dat", "IMG_0001.JPG.download", "1.0042", "ünï.bild"])
def test_a_picture_is_found_by_what_it_holds_whatever_it_is_called(tmp_path, form, name):
    (tmp_path / name).write_bytes(content_of(form))
    assert names_and_skipped(tmp_path)[:2] == ([name], {})


@pytest.mark.parametrize(
    "ending", ["jfif", "jpe", "avif", "ppm", "pgm", "pbm", "pnm", "dib", "TIF"]
)
def test_a_file_with_a_picture_s_name_is_found_whatever_it_holds(tmp_path, ending):
    (tmp_path / f"1.{ending}").write_text("hello")
    assert names_and_skipped(tmp_path)[0] == [f"1.{ending}"]


@pytest.mark.parametrize(
    "text",
    ["", "BMW is a car", "P1 is first", "P3 10 pictures", "GIF", "II. Chapter", "RIFF WAVE", "8BP"],
)
def test_text_that_begins_like_a_picture_is_none(text):
    assert format_of(text.encode()) is None


@pytest.mark.parametrize(
    ("name", "first", "kind"),
    [
        ("1.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("1.jpg_", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        ("1.img", b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        ("1.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", None),
        ("1.jxl", b"\xff\x0a\xfa", "JPEG XL"),
        ("1.svg", b'<?xml version="1.0"?>', "SVG"),
        ("1.dng", b"II*\0\x08\0\0\0", "camera raw"),
        ("1.dcm", bytes(128) + b"DICM", "DICOM"),
        ("1.pdf", b"%PDF-1.7", "PDF"),
        ("1.psd", b"8BPS\0\1", "PSD"),
        ("1.svg", b"", None),
    ],
)
def test_pictures_that_are_not_read_are_known_by_their_format(name, first, kind):
    assert format_of(first, "." + name.rpartition(".")[2]) == kind


def test_what_is_no_picture_is_counted_by_its_ending_and_the_first_are_named(tmp_path):
    (tmp_path / "1.png").touch()
    for name in ("d.txt", "a.txt", "c.TXT", "b.txt", "x.csv", "notes", "x.2024", "y.final draft"):
        (tmp_path / name).write_text("text")
    (tmp_path / "s.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "ä\n.zip").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    (tmp_path / "out").symlink_to("/etc/passwd")
    found, kinds, skipped = names_and_skipped(tmp_path)
    assert found == ["1.png"]
    assert kinds == {
        ".txt": 4,
        "of no known ending": 3,
        ".csv": 1,
        ".zip": 1,
        "HEIC": 1,
        "not a regular file": 1,
        "cannot be read: No such file or directory": 1,
        "link that leads out of the folder": 1,
    }
    assert skipped.files == sum(kinds.values())
    assert str(skipped).startswith("4 .txt (a.txt, b.txt, c.TXT, …), 3 of no known ending (notes, ")
    assert "1 HEIC (s.heic)" in str(skipped)
    assert r"(\xe4\n.zip)" in str(skipped)


def test_of_many_kinds_the_commonest_are_listed_and_the_others_counted(tmp_path):
    (tmp_path / "1.png").touch()
    for number in range(12):
        (tmp_path / f"1.k{number:02}").touch()
    said = str(names_and_skipped(tmp_path)[2])
    assert said.count("(") == 8
    assert said.endswith("1 .k07 (1.k07), 4 of 4 further kinds")


def test_what_systems_leave_in_folders_is_no_picture_even_if_it_is_called_one(tmp_path):
    litter = (
        *("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "a/._2.png", "a/.hidden.jpg"),
        *(".ipynb_checkpoints/1.png", "__MACOSX/a/1.png", "@eaDir/1.png", ".git/b/1.png"),
    )
    for name in ("1.png", "a/2.png", *litter):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, kinds, skipped = names_and_skipped(tmp_path)
    assert found == ["1.png", "a/2.png"]
    assert kinds == {"hidden": 6, "hidden folder(s)": 4}
    assert skipped.files == 6
    assert [f.path.name for f in find_pictures([tmp_path / "._1.png"])] == ["._1.png"]
    assert [f.path.name for f in find_pictures([tmp_path / "@eaDir"])] == ["1.png"]


def test_files_with_a_picture_s_name_are_not_opened(tmp_path, monkeypatch):
    for number in range(50):
        (tmp_path / f"{number}.jpg").touch()
    monkeypatch.setattr("builtins.open", None)
    assert len(list(find_pictures([tmp_path]))) == 50


def test_a_folder_without_a_picture_says_what_is_in_it(tmp_path):
    (tmp_path / "1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / ".DS_Store").touch()
    with pytest.raises(UserError) as refused:
        list(find_pictures([tmp_path]))
    formats = "PNG, JPEG, WEBP, BMP, GIF, TIFF, " + "AVIF, " * HAS_AVIF + "PPM"
    assert str(refused.value) == (
        f"{tmp_path} has no pictures in it ({formats}); "
        "skipped: 1 HEIC (1.heic), 1 hidden (.DS_Store)"
    )


def test_missing_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        list(find_pictures([tmp_path / "nowhere"]))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="no pictures in it"):
        list(find_pictures([tmp_path]))
    assert [f.problem for f in find_pictures([tmp_path / "notes.txt"])] == [None]


def of_all(folder):
    """As a shell gives `*`, what lies in the folder; what of it was found, what was skipped."""
    skipped = Skipped()
    paths = sorted(path for path in folder.iterdir() if path.name[0] != "." or path.is_file())
    found = [f.path.name for f in find_pictures(paths, skipped=skipped)]
    return found, {kind: one.names for kind, one in skipped.kinds.items()}, skipped.files


def test_of_several_paths_litter_and_folders_without_pictures_are_skipped_and_counted(tmp_path):
    for name in ("a/1.png", "__MACOSX/2.png", "docs/notes.txt", "3.png", "._3.png", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    found, kinds, files = of_all(tmp_path)
    assert found == ["3.png", "1.png"]
    assert kinds == {
        "hidden": ["._3.png", "Thumbs.db"],
        "hidden folder(s)": ["__MACOSX"],
        ".txt": ["notes.txt"],
        "folder(s) without pictures": ["docs", "empty"],
    }
    assert files == 3
    (tmp_path / "3.png").unlink()
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(UserError) as refused:
        of_all(tmp_path)
    assert str(refused.value).startswith("none of the 6 paths has pictures in it (PNG, ")
    assert "; skipped: 3 folder(s) without pictures (a, docs, empty), 2 hidden" in str(
        refused.value
    )


def test_of_several_paths_a_missing_one_is_an_error_and_the_folder_above_is_no_litter(
    tmp_path, monkeypatch
):
    (tmp_path / "sub").mkdir()
    (tmp_path / "1.png").touch()
    for missing in ("2.png", "Thumbs.db"):
        with pytest.raises(UserError, match=f"{missing} does not exist"):
            list(find_pictures([tmp_path, tmp_path / missing]))
    monkeypatch.chdir(tmp_path / "sub")
    here, above = Path(), Path("..")
    assert [f.path.name for f in find_pictures([here, above])] == ["1.png"]


def test_the_folder_of_results_is_passed_over_where_it_is_given_too(tmp_path):
    for name in ("a/1.png", "out/confidence.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    paths, out = [tmp_path / "a", tmp_path / "out"], tmp_path / "a/../out"
    assert [f.path.name for f in find_pictures(paths, leave_out=out)] == ["1.png"]
    with pytest.raises(UserError, match="no pictures in it"):
        list(find_pictures(paths[1:], leave_out=out))
