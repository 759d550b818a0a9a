"""A file system that has no locks, as some of networks are, really mounted."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes import wait_for


@contextmanager
def mounted_without_locks(folder: Path) -> Iterator[Path]:
    """An empty folder that is one, below another; the test is skipped where it cannot be."""
    if not (FUSE and os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3")):
        pytest.skip("no file system can be mounted: it lacks FUSE")
    behind, place = folder / "behind", folder / "mounted"
    behind.mkdir()
    place.mkdir()
    with subprocess.Popen([sys.executable, __file__, behind, place]) as process:
        try:
            wait_for(lambda: os.path.ismount(place) or process.poll() is not None, timeout=20)
            if process.poll() is not None:
                pytest.skip(f"no file system can be mounted: status {process.returncode}")
            yield place
        finally:
            subprocess.run(["fusermount3", "-u", "-z", place], check=False)
            process.terminate()


try:
    from mfusepy import FUSE, FuseOSError, Operations
except (ImportError, OSError):  # without libfuse it does not even load
    FUSE, Operations = None, object


class WithoutLocks(Operations):
    """Passes all on but locks, which it refuses."""

    use_ns = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _real(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def flock(self, path, fh, op):
        raise FuseOSError(errno.EOPNOTSUPP)

    def lock(self, path, fh, cmd, lock):
        raise FuseOSError(errno.EOPNOTSUPP)

    def getattr(self, path, fh=None):
        found = os.lstat(self._real(path))
        times = {f"st_{one}time": getattr(found, f"st_{one}time_ns") for one in "amc"}
        return {name: getattr(found, name) for name in dir(found) if name.startswith("st_")} | times

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self._real(path))]

    def open(self, path, flags):
        return os.open(self._real(path), flags)

    def create(self, path, mode, fi=None):
        return os.open(self._real(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self._real(path), length)

    def flush(self, path, fh):
        return 0

    def fsync(self, path, datasync, fh):
        os.fsync(fh)

    def release(self, path, fh):
        os.close(fh)

    def rename(self, old, new):
        os.rename(self._real(old), self._real(new))

    def link(self, target, source):
        os.link(self._real(source), self._real(target))

    def unlink(self, path):
        os.unlink(self._real(path))

    def mkdir(self, path, mode):
        os.mkdir(self._real(path), mode)

    def rmdir(self, path):
        os.rmdir(self._real(path))

    def chmod(self, path, mode):
        os.chmod(self._real(path), mode)

    def utimens(self, path, times=None):
        os.utime(self._real(path), ns=times)

    def statfs(self, path):
        found = os.statvfs(self._real(path))
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}


if __name__ == "__main__":
    FUSE(WithoutLocks(Path(sys.argv[1]).resolve()), sys.argv[2], foreground=True)
