"""Picture files found in folders, whatever lies in them."""

import os
import subprocess

import pytest

from reslab.errors import UserError
from reslab.pictures.find import find_pictures


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


def test_missing_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        list(find_pictures([tmp_path / "nowhere"]))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match="no pictures in it"):
        list(find_pictures([tmp_path]))
    assert [f.problem for f in find_pictures([tmp_path / "notes.txt"])] == [None]
