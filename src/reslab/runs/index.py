"""What was read of finished runs, kept beside them so that ten thousand are listed at once."""

import contextlib
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs import identity, record, seeds
from reslab.runs.record import Record
from reslab.runs.seeds import Repeat
from reslab.runs.store import RunDirectory

SETTLED_NS = 1_000_000_000  # no file system tells times apart less well
LINES_A_RUN = 2  # of which there are more, the file is written anew


class Index:
    """The finished runs of a folder, each of which is read once.

    `.index.jsonl` there has a line a run: a copy, that counts as long as the run's folder and files
    are as they were when it was made. It may be deleted at any time, and where it is damaged, of
    another version or cannot be written, the runs themselves are read.

    Args:
        folder: Where runs lie.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / ".index.jsonl"
        self._known: dict[str, dict[str, Any]] | None = None
        self._lines, self._new = 0, list[dict[str, Any]]()

    def read(self, run: RunDirectory) -> Repeat:
        """A run as `Repeat.read` reads it.

        Raises:
            UserError: As there.
        """
        if self._known is None:
            self._known = self._load()
        stamp = _stamp(run)
        if stamp and (line := self._known.get(run.name)) and line.get("stamp") == stamp:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a foreign line
                return _repeat(run, line)
        found = Repeat.read(run)
        settled = stamp and time.time_ns() - max(stamp[::2]) > SETTLED_NS
        if found.record and settled and stamp == _stamp(run):
            self._new.append(_line(found, stamp))
        return found

    def save(self) -> None:
        """Adds what was read since; where that cannot be written, it is read again next time."""
        if not self._new or self._known is None:
            return
        self._known |= {line["run"]: line for line in self._new}
        anew = not self._lines or self._lines + len(self._new) > LINES_A_RUN * len(self._known)
        lines = [_version(), *self._known.values()] if anew else self._new
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        with contextlib.suppress(OSError, UserError):
            if anew:
                write_atomically(self.file, text.encode(), durably=False)
            else:
                with self.file.open("a") as file:
                    file.write(text)
        self._lines = len(lines) if anew else self._lines + len(lines)
        self._new.clear()

    def _load(self) -> dict[str, dict[str, Any]]:
        try:
            version, *lines = self.file.read_bytes().splitlines()
            if json.loads(version) != _version():
                return {}
        except (OSError, ValueError):
            return {}
        self._lines = len(lines)
        known = {}
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # cut off, or two in one
                content = json.loads(line)
                known[content["run"]] = content
        return known


def _version() -> dict[str, str]:
    """What a line means, by the code that made it."""
    sources = [Path(str(module.__file__)).read_bytes() for module in (identity, record, seeds)]
    return {"version": sha256(b"".join([*sources, Path(__file__).read_bytes()])).hexdigest()[:16]}


def _stamp(run: RunDirectory) -> list[int]:
    """When a finished run's folder and files have changed, ns, and their sizes; else nothing."""
    try:
        found = [path.stat() for path in (run.path, run.config_file, run.record_file)]
    except OSError:
        return []
    return [number for one in found for number in (one.st_mtime_ns, one.st_size)]


def _line(repeat: Repeat, stamp: list[int]) -> dict[str, Any]:
    assert repeat.record
    return {
        **{"run": repeat.directory.name, "stamp": stamp, "name": repeat.name},
        **{"label": repeat.label, "config": repeat.config, "recipe": repeat.recipe},
        "record": repeat.record.as_json(),
    }


def _repeat(run: RunDirectory, line: dict[str, Any]) -> Repeat:
    kept = Record.from_json(line["record"])
    return Repeat(run, line["name"], line["label"], line["config"], kept, line["recipe"])
