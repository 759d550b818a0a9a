"""Checkpoint files: whole or absent, verified when read, tensors and plain values only.

torch is imported where a file is read or written, so that runs are listed without waiting for it.
"""

import hashlib
import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.files import write_atomically

# A file is torch.save's bytes followed by this and the SHA-256 of those bytes. torch.load reads
# such a file as any other, since a zip archive is found from its end with room for a comment.
TRAILER = b"\nreslab-sha256:"
TRAILER_SIZE = len(TRAILER) + hashlib.sha256().digest_size
IMPORTING = ("_instantiator", "_class_path")  # keys by which Lightning's loaders import a class


class TruncatedCheckpointError(UserError):
    """The file ends too early to be a checkpoint."""


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint; raises UserError as `write_atomically` does."""
    import torch

    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    payload = buffer.getbuffer()
    write_atomically(path, payload, TRAILER, hashlib.sha256(payload).digest())


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU.

    Raises:
        TruncatedCheckpointError: The file is empty or cut off.
        UserError: The content is not what was written, or holds more than plain values.
    """
    import torch

    content = path.read_bytes()
    payload, trailer = memoryview(content)[:-TRAILER_SIZE], content[-TRAILER_SIZE:]
    if not trailer.startswith(TRAILER):
        raise TruncatedCheckpointError(f"{path} is {'cut off' if content else 'empty'}")
    digest = hashlib.sha256(payload).digest()
    if digest != trailer[len(TRAILER) :]:
        raise UserError(
            f"{path} was altered after it was written: its SHA-256 is {digest.hex()}, not "
            f"{trailer[len(TRAILER) :].hex()}; restore it, or start over with rerun=true"
        )
    try:
        checkpoint = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than tensors and plain values: refused") from error
    except Exception as error:  # whatever bytes that torch never wrote make it stumble over
        raise UserError(f"{path} is no checkpoint") from error
    if not isinstance(checkpoint, dict):
        raise UserError(f"{path} is no checkpoint")
    if key := _names_a_class(checkpoint):
        raise UserError(
            f"{path} names a class to import ({key}), as none of reslab's does: refused"
        )
    return checkpoint


def _names_a_class(value: Any) -> str | None:
    """A key by which a loader of Lightning's would import what a checkpoint names."""
    if isinstance(value, list | tuple):
        return next(filter(None, map(_names_a_class, value)), None)
    if not isinstance(value, dict):
        return None
    named = (key for key in IMPORTING if key in value)
    return next(named, None) or _names_a_class(list(value.values()))


def duplicate(path: Path, other: Path) -> None:
    """Makes a file another one too, atomically and where possible without copying its content."""
    link = other.with_name(f".{other.name}.{os.getpid()}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a filesystem without hard links
        shutil.copyfile(path, link)
    link.replace(other)


class LatestCheckpoint:
    """`last.ckpt` and the one before it, `previous.ckpt`, in a run's folder.

    `slim.ckpt` is there for the moment around a run's end: it takes their place once it is over.
    """

    def __init__(self, folder: Path) -> None:
        self.last, self.previous = folder / "last.ckpt", folder / "previous.ckpt"
        self.slim = folder / "slim.ckpt"

    def settle(self) -> None:
        """Of a finished run keeps `slim` alone, as `last`; does nothing where that is done."""
        if self.slim.exists():
            self.slim.replace(self.last)
            self.previous.unlink(missing_ok=True)

    def keep_previous(self) -> None:
        """Makes what is `last` also `previous`, so that a save never leaves fewer than it found."""
        if self.last.exists():
            duplicate(self.last, self.previous)

    @property
    def exists(self) -> bool:
        """Whether anything is saved, intact or not."""
        return self.last.exists() or self.previous.exists()

    def load(self) -> tuple[Path, dict[str, Any], list[str]] | None:
        """The newest intact checkpoint, its path, and what was wrong with a newer one.

        Raises:
            UserError: A checkpoint was altered, or none of those there is intact.
        """
        problems: list[str] = []
        found = [path for path in (self.last, self.previous) if path.exists()]
        for path in found:
            try:
                return path, load(path), problems
            except TruncatedCheckpointError as error:
                problems.append(str(error))
        if found:
            raise UserError(f"{'; '.join(problems)}: nothing to resume; rerun=true starts over")
        return None
