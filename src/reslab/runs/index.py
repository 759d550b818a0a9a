"""What was read of runs, kept beside them so that ten thousand are listed in a second or two."""

import contextlib
import json
import os
import time
import zlib
from functools import cache
from hashlib import sha256
from pathlib import Path

from reslab.config import targets
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs import identity, record, repeat, request, store
from reslab.runs.repeat import Repeat, Standing
from reslab.runs.store import RunDirectory

SETTLED_NS = 2_000_000_000  # FAT tells times apart by two seconds, others better
LINES_A_RUN = 2  # of which there are more, the file is written anew

# Of a run's folder, what `Repeat.read` reads; the folder itself says when a file comes or goes.
FILES = ("config.yaml", "request.json", "metrics.csv", "metrics.json")


class Index:
    """The runs of a folder, each of which is read once.

    `.index` there has a line a run: its name, how its files were, what was read of them, its
    configuration, its record and a checksum, tabs between them. It is a copy, that counts as long
    as the run's folder and files are as they were when it was made. It may be deleted at any time,
    and where it is damaged, of another version or cannot be written, the runs themselves are read.

    Args:
        folder: Where runs lie.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / ".index"
        self._known: dict[bytes, bytes] | None = None  # lines by their names
        self._lines, self._new = 0, dict[bytes, bytes]()

    def read(self, run: RunDirectory) -> Repeat:
        """A run as `Repeat.read` reads it.

        Raises:
            UserError: As there.
        """
        if self._known is None:
            self._known = self._load()
        stamp, changed = _stamp(run)
        name = json.dumps(run.name).encode()
        if (line := self._known.get(name)) and _is_whole(line):
            _, kept_stamp, *parts = line.split(b"\t")
            if kept_stamp == stamp:
                return _repeat(run, *parts[:3])
        found = Repeat.read(run)
        is_settled = time.time_ns() - changed > SETTLED_NS and stamp == _stamp(run)[0]
        if is_settled and _has_given_all(run, found):
            self._new[name] = _line(name, stamp, found)
        return found

    def save(self) -> None:
        """Adds what was read since; where that cannot be written, it is read again next time."""
        if not self._new or self._known is None:
            return
        self._known |= self._new
        with contextlib.suppress(OSError, UserError):
            self._write(self._known)
        self._new.clear()

    def _write(self, known: dict[bytes, bytes]) -> None:
        there = {json.dumps(name).encode() for name in os.listdir(self.file.parent)}
        for name in known.keys() - there:  # its run is deleted
            del known[name]
        if not self._lines or self._lines + len(self._new) > LINES_A_RUN * len(known):
            text = b"".join(line + b"\n" for line in [_version(), *known.values()])
            write_atomically(self.file, text, durably=False)
            self._lines = len(known)
        else:
            with self.file.open("ab") as file:
                file.write(b"".join(line + b"\n" for line in self._new.values()))
            self._lines += len(self._new)

    def _load(self) -> dict[bytes, bytes]:
        try:
            version, *lines = self.file.read_bytes().splitlines()
        except (OSError, ValueError):  # ValueError: it is empty
            return {}
        if version != _version():
            return {}
        self._lines = len(lines)
        return {line.partition(b"\t")[0]: line for line in lines}


@cache
def _version() -> bytes:
    """What a line means, by the code that made it."""
    modules = (identity, record, repeat, request, store, targets)
    sources = [Path(str(module.__file__)).read_bytes() for module in modules]
    digest = sha256(b"".join([*sources, Path(__file__).read_bytes()])).hexdigest()[:16]
    return f"version {digest}".encode()


def _stamp(run: RunDirectory) -> tuple[bytes, int]:
    """Which a run's folder and files are, when they have changed, ns, and their sizes.

    And the last change of content. That of the rest, as of who may read, counts as a change too.
    """
    numbers, last = [], 0
    for path in (f"{run.path}", *(f"{run.path}/{name}" for name in FILES)):
        try:
            found = os.stat(path)
            times = f"{found.st_mtime_ns} {found.st_ctime_ns}"
            numbers.append(f"{times} {found.st_size} {found.st_ino}")
            last = max(last, found.st_mtime_ns)
        except OSError:
            numbers.append("-")
    return ",".join(numbers).encode(), last


def _has_given_all(run: RunDirectory, one: Repeat) -> bool:
    """Whether no file that is there has given nothing: it may be readable at the next look."""
    nothing = {
        run.record_file: one.record_text is None,
        run.metrics_file: one.standing.epochs is None,
        run.request_file: one.begun is None,
    }
    return not any(os.path.exists(file) for file, is_lacking in nothing.items() if is_lacking)


def _line(name: bytes, stamp: bytes, one: Repeat) -> bytes:
    read = [one.name, one.label, one.group, one.seed, one.recipe, one.begun, one.standing]
    texts = (json.dumps(read), one.config_text, one.record_text or "")
    line = b"\t".join([name, stamp, *(text.encode() for text in texts), b""])
    return line + _checksum(line)


def _checksum(line: bytes) -> bytes:
    """Of a line and what it means: another version may add to a file that this one has begun."""
    return b"%08x" % zlib.crc32(line, zlib.crc32(_version()))


def _is_whole(line: bytes) -> bool:
    """Whether it is as it was written: not cut off, nor two in one."""
    return line[-8:] == _checksum(line[:-8])


def _repeat(run: RunDirectory, read: bytes, config: bytes, record: bytes) -> Repeat:
    name, label, group, seed, recipe, begun, standing = json.loads(read)
    return Repeat(
        *(run, name, label, group, seed, recipe, begun, Standing(*standing)),
        *(config.decode(), record.decode() or None),
    )
