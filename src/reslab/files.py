"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from reslab.errors import UserError


def user_state() -> Path:
    """This user's folder for what outlives a command and belongs to no run; it may not be there."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "reslab"


def write_atomically(path: Path, *chunks: bytes | memoryview, durably: bool = True) -> None:
    """Replaces a file by new content: whoever reads it finds the old or the new.

    Args:
        path: The file.
        chunks: Its content.
        durably: Whether that also holds after a crash of the machine, for which a disk is waited.

    Raises:
        UserError: The disk is full or the folder is not writable; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            if durably:
                os.fsync(file.fileno())
        temporary.replace(path)
        if not durably:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        kept = "; the one before it is intact" if path.is_file() else ""
        raise UserError(f"cannot write {path}: {error.strerror}{kept}") from error


@contextmanager
def text_written_atomically(path: Path) -> Iterator[TextIO]:
    """A file to write line by line, which takes its place once it is whole.

    File names that are not valid text come out as the bytes they are.

    Raises:
        UserError: The disk is full or the folder is not writable; the old file is intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
        temporary.replace(path)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(path)):
            raise
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Deletes the temporary files of writers that were killed; call it under the run's lock."""
    for stray in folder.glob(".*.tmp"):
        stray.unlink(missing_ok=True)


def visible(text: Path | str) -> str:
    """A file's name, or what is said of it, on one line whatever characters it has."""
    text = str(text)
    return text if text.isprintable() else ascii(text)[1:-1]
