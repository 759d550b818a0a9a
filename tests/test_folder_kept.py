"""Pictures of a folder are decoded once, and what is kept of them is never another picture."""

from collections import Counter

import numpy as np
import pytest

from folders import PARTS, Told, class_folders, composed, data_of, expected, files_in, flip, held
from pictures import saved
from reslab.config import instantiate
from reslab.data import decoded
from reslab.errors import UserError
from reslab.pictures import decode as decoder
from reslab.runs.build import prepare_data

pytestmark = pytest.mark.usefixtures("in_empty_folder")


@pytest.fixture
def decodings(monkeypatch):
    """Files that are decoded, as long as the test goes on."""
    seen = []

    def decode(path, *asked):
        seen.append(path)
        return decoder_s_own(path, *asked)

    decoder_s_own = decoder.decode
    monkeypatch.setattr(decoder, "decode", decode)
    return seen


def kept(folder):
    (file,) = (folder / "data/pictures").iterdir()
    return file


def test_pictures_are_decoded_once(tmp_path, decodings):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    before = data_of(root).digest
    assert sorted(decodings) == files_in(root)
    decodings.clear()
    moved = root.rename(tmp_path / "moved")
    assert data_of(moved, "dataset.val_share=0.6").digest != before
    assert data_of(moved).digest == before
    assert not decodings
    data_of(moved, "dataset.size=9")
    data_of(moved, "dataset.channels=1")
    assert len(decodings) == 16


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: flip(file),
        lambda file: flip(file, 3),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"null\n"),
    ],
    ids=["a pixel", "its head", "cut", "empty", "foreign"],
)
def test_what_was_kept_and_is_damaged_is_made_anew(tmp_path, decodings, spoil):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    before = data_of(root).digest
    content = kept(tmp_path).read_bytes()
    spoil(kept(tmp_path))
    assert data_of(root).digest == before
    assert len(decodings) == 16
    assert kept(tmp_path).read_bytes() == content


def test_what_was_decoded_of_other_bytes_is_not_used(tmp_path):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    data_of(root)
    file = root / "cat/000.png"
    saved(file.parent, np.full((12, 10, 3), 7, np.uint8), file.name)
    data = data_of(root)
    assert sum((held(data, part) for part in PARTS), Counter()) == expected(files_in(root))


def test_another_decoder_decodes_anew(tmp_path, decodings, monkeypatch):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    data_of(root)
    monkeypatch.setattr(decoded.PIL, "__version__", "99")
    data_of(root)
    assert len(decodings) == 16


def test_without_a_place_to_keep_them_pictures_are_decoded_all_the_same(tmp_path):
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})
    (tmp_path / "data").write_text("in the way")
    told = Told()
    data = data_of(root, reporter=told)
    assert sum((held(data, part) for part in PARTS), Counter()) == expected(files_in(root))
    (line,) = told.said
    assert line.startswith("decoded pictures are not kept: ")


def test_a_picture_that_changes_while_it_is_read_is_said(tmp_path, monkeypatch):
    """Else a run would be of other pictures than its name says."""
    root = class_folders(tmp_path / "pets", {"cat": 4, "dog": 4})

    def decode_and_change(path, *asked):
        image = decoder_s_own(path, *asked)
        if path == root / "dog/002.png":
            flip(path)
        return image

    decoder_s_own = decoder.decode
    monkeypatch.setattr(decoder, "decode", decode_and_change)
    with pytest.raises(UserError, match=r"dog/002\.png has just changed: give the command again"):
        data_of(root)
    data = instantiate(composed(root), "dataset")
    saved(root / "cat", np.zeros((3, 3, 3), np.uint8), "new.png")
    with pytest.raises(UserError, match=r"dataset.root=.* holds other pictures \(\w+\) than"):
        prepare_data(data)
