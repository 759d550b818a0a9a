"""Files of a data set that come slowly, and what other processes see of them meanwhile."""

import errno
import fcntl
import hashlib
import multiprocessing
import signal
import time
from pathlib import Path

import pytest

from reslab.data import TorchvisionSource
from reslab.errors import UserError

PIECES = [bytes([number]) * 1000 for number in range(20)]


def no_flock(*arguments):
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


class Slow:
    """A data set that comes in pieces, one file after the other, and says when it begins."""

    names = ("a", "folder/b")

    def __init__(self, root, train, download=False):
        root = Path(root)
        if download:
            tmp_path = next(folder for folder in root.parents if folder.name != "data")
            with (tmp_path / "begun").open("a") as log:
                log.write("x")
            (root / "folder").mkdir(parents=True, exist_ok=True)
            files = [(root / name).open("wb", buffering=0) for name in self.names]
            for piece in PIECES:
                for file in files:
                    file.write(piece)
                time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("verified", "flock"), [(True, True), (False, True), (True, False)])
@pytest.mark.parametrize("killed", [True, False])
def test_no_process_ever_takes_half_a_file_for_a_file(
    verified, flock, killed, tmp_path, monkeypatch
):
    """Neither while another one is fetching, nor after that was killed at it.

    On a file system without locks, too.
    """
    if not flock:
        monkeypatch.setattr(fcntl, "flock", no_flock)
    whole = b"".join(PIECES)
    digest = f"sha256:{hashlib.sha256(whole).hexdigest()}" if verified else None
    source, root = TorchvisionSource(Slow, dict.fromkeys(Slow.names, digest), {}), tmp_path / "data"

    def prepare_and_read():
        source.prepare(root)
        assert [(root / name).read_bytes() for name in Slow.names] == [whole, whole]

    fork = multiprocessing.get_context("fork")
    first, second = (
        fork.Process(target=source.prepare, args=(root,)),
        fork.Process(target=prepare_and_read),
    )
    first.start()
    while not any(path.stat().st_size for path in root.rglob("b")):
        time.sleep(0.01)
    if killed:
        first.kill()
        first.join()
    second.start()
    second.join(30)
    first.join(30)
    assert second.exitcode == 0
    assert first.exitcode == (-signal.SIGKILL if killed else 0)
    assert (tmp_path / "begun").read_text() == "x" * (1 + killed)
    assert sorted(path.name for path in root.iterdir()) == [".prepare.lock", "a", "folder"]


def test_a_complete_folder_needs_no_lock(tmp_path, monkeypatch):
    """It may be of somebody else's, where nothing can be written."""
    for name in Slow.names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr("reslab.locks.held", None)
    TorchvisionSource(Slow, dict.fromkeys(Slow.names), {}).prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "data").write_text("a file")
    for root in (tmp_path / "data", tmp_path / "data/below", Path("/proc/data")):
        with pytest.raises(UserError, match=f"^data_dir: cannot write in {root}: "):
            TorchvisionSource(Slow, dict.fromkeys(Slow.names), {}).prepare(root)
