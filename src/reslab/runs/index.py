"""What was read of runs, kept beside them so that ten thousand are listed in a second or two."""

import contextlib
import json
import os
import time
import zlib
from hashlib import sha256
from pathlib import Path

from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs import identity, record, repeat
from reslab.runs.repeat import Repeat, Standing
from reslab.runs.store import RunDirectory

SETTLED_NS = 1_000_000_000  # no file system tells times apart less well
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
        if time.time_ns() - changed > SETTLED_NS and stamp == _stamp(run)[0]:
            self._new[name] = _line(name, stamp, found)
        return found

    def save(self) -> None:
        """Adds what was read since; where that cannot be written, it is read again next time."""
        if not self._new or self._known is None:
            return
        self._known |= self._new
        anew = not self._lines or self._lines + len(self._new) > LINES_A_RUN * len(self._known)
        lines = [_version(), *self._known.values()] if anew else [*self._new.values()]
        text = b"".join(line + b"\n" for line in lines)
        with contextlib.suppress(OSError, UserError):
            if anew:
                write_atomically(self.file, text, durably=False)
            else:
                with self.file.open("ab") as file:
                    file.write(text)
        self._lines = len(self._known) if anew else self._lines + len(lines)
        self._new.clear()

    def _load(self) -> dict[bytes, bytes]:
        try:
            version, *lines = self.file.read_bytes().splitlines()
        except (OSError, ValueError):  # ValueError: it is empty
            return {}
        if version != _version():
            return {}
        self._lines = len(lines)
        return {line.partition(b"\t")[0]: line for line in lines}


def _version() -> bytes:
    """What a line means, by the code that made it."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (identity, record, repeat)]
    digest = sha256(b"".join([*sources, Path(__file__).read_bytes()])).hexdigest()[:16]
    return f"version {digest}".encode()


def _stamp(run: RunDirectory) -> tuple[bytes, int]:
    """When a run's folder and files have changed, ns, and their sizes; and the last change."""
    numbers, last = [], 0
    for path in (f"{run.path}", *(f"{run.path}/{name}" for name in FILES)):
        try:
            found = os.stat(path)
            numbers.append(f"{found.st_mtime_ns} {found.st_size}")
            last = max(last, found.st_mtime_ns)
        except OSError:
            numbers.append("-")
    return ",".join(numbers).encode(), last


def _line(name: bytes, stamp: bytes, one: Repeat) -> bytes:
    read = [one.name, one.label, one.group, one.seed, one.recipe, one.begun, one.standing]
    texts = (json.dumps(read), one.config_text, one.record_text or "")
    line = b"\t".join([name, stamp, *(text.encode() for text in texts), b""])
    return line + _checksum(line)


def _checksum(line: bytes) -> bytes:
    return b"%08x" % zlib.crc32(line)


def _is_whole(line: bytes) -> bool:
    """Whether it is as it was written: not cut off, nor two in one."""
    return line[-8:] == _checksum(line[:-8])


def _repeat(run: RunDirectory, read: bytes, config: bytes, record: bytes) -> Repeat:
    name, label, group, seed, recipe, begun, standing = json.loads(read)
    return Repeat(
        *(run, name, label, group, seed, recipe, begun, Standing(*standing)),
        *(config.decode(), record.decode() or None),
    )
