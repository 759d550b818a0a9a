import os
import random

import numpy as np
import pytest
import torch

from reslab.errors import UserError
from reslab.files import remove_leftovers
from reslab.runs import checkpoint as files
from reslab.runs.checkpoint import LatestCheckpoint, TruncatedCheckpointError
from reslab.runs.saving import random_states, restore_random_states

CONTENT = {"weights": torch.arange(1000.0), "epoch": 3, "name": "x"}


@pytest.fixture
def path(tmp_path):
    files.save(CONTENT, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_what_is_saved_is_loaded_also_by_plain_torch(path):
    for loaded in (files.load(path), torch.load(path, weights_only=True)):
        assert torch.equal(loaded["weights"], CONTENT["weights"])
        assert loaded["epoch"] == 3


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_one_flipped_byte_is_refused_with_both_digests(path, share):
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - files.TRAILER_SIZE))] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}"):
        files.load(path)


@pytest.mark.parametrize("keep", [0, 1, 100, -1, -40])
def test_a_cut_off_file_is_known_as_such(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TruncatedCheckpointError, match=str(path)):
        files.load(path)


def test_a_pickle_payload_is_refused_and_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    files.save({"payload": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="refused"):
        files.load(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_the_previous_checkpoint_stays_until_the_next_is_whole(path):
    latest = LatestCheckpoint(path.parent)
    latest.keep_previous()
    files.save(CONTENT | {"epoch": 4}, latest.last)
    assert files.load(latest.previous)["epoch"] == 3
    path.write_bytes(path.read_bytes()[:-1])
    found, checkpoint, problems = latest.load()
    assert found == latest.previous
    assert checkpoint["epoch"] == 3
    assert str(latest.last) in problems[0]


def test_leftovers_go_and_other_files_stay(path):
    (path.parent / ".last.ckpt.123.tmp").write_bytes(b"half")
    remove_leftovers(path.parent)
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_every_random_generator_comes_back():
    states = random_states()
    first = random.random(), np.random.rand(), torch.rand(3)
    second = random.random(), np.random.rand(), torch.rand(3)
    restore_random_states(states)
    again = random.random(), np.random.rand(), torch.rand(3)
    assert first[:2] == again[:2]
    assert torch.equal(first[2], again[2])
    assert first[:2] != second[:2]
