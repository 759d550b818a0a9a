"""What a run prints, kept beside its results as a person would have read it."""

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colors, and where a bar puts the cursor


class _Kept:
    """A stream that writes what it is given to a file too, line by line.

    Of a line that is written over, as a progress bar's is, the file has what stood at the end.
    """

    def __init__(self, stream: TextIO, file: BinaryIO | io.RawIOBase) -> None:
        self._stream, self._file, self._line = stream, file, ""

    def write(self, text: str) -> int:
        self._line += text
        while "\n" in self._line:
            line, _, self._line = self._line.partition("\n")
            self._keep(line)
        self._line = self._line.rpartition("\r")[2]
        return self._stream.write(text)

    def close_line(self) -> None:
        if self._line.strip():
            self._keep(self._line)
        self._line = ""

    def _keep(self, line: str) -> None:
        text = CONTROL.sub("", line.removesuffix("\r").rpartition("\r")[2]).rstrip()
        if text:
            with contextlib.suppress(OSError):  # as on a full disk: the run is to go on
                self._file.write(f"{text}\n".encode(errors="backslashreplace"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Adds to a file what Python prints meanwhile, on both outputs."""
    before = sys.stdout, sys.stderr
    with path.open("ab", buffering=0) as file:
        streams = _Kept(sys.stdout, file), _Kept(sys.stderr, file)
        sys.stdout, sys.stderr = streams
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for stream in streams:
                stream.close_line()


def add(path: Path, line: str) -> None:
    """Adds a line that is printed by whoever is told of it, or not at all."""
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode(errors="backslashreplace"))
