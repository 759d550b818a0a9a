"""Picture files on disk, found without opening one."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reslab.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
NOT_REGULAR = "not a regular file"


@dataclass(frozen=True)
class Found:
    """A file to predict, with its name as the user would write it, or why it is left out."""

    path: Path
    problem: str | None = None


def find_pictures(paths: Sequence[Path], leave_out: Path | None = None) -> Iterator[Found]:
    """Files as they are given, and those below folders that have a picture's name, sorted.

    What lies below `leave_out`, where results are written, is none of them.

    Symbolic links that lead out of a folder or to a folder, and what is no regular file, are left
    out, which is said; nothing is opened.

    Raises:
        UserError: A path does not exist, or a folder has no picture in it.
    """
    for path in paths:
        if path.is_dir():
            empty = True
            for found in _walk(path, path.resolve(), leave_out and leave_out.resolve()):
                empty = False
                yield found
            if empty:
                names = ", ".join(suffix[1:] for suffix in SUFFIXES)
                raise UserError(f"{path} has no pictures in it ({names})")
        elif path.exists() or path.is_symlink():
            yield _checked(path)
        else:
            raise UserError(f"{path} does not exist")


def _walk(folder: Path, root: Path, leave_out: Path | None) -> Iterator[Found]:
    waiting: list[Path | Found] = [folder]  # the next one last; folders to list, files found
    while waiting:
        found = waiting.pop()
        if isinstance(found, Path):
            waiting.extend(reversed(list(_listed(found, root, leave_out))))
        else:
            yield found


def _listed(folder: Path, root: Path, leave_out: Path | None) -> Iterator[Path | Found]:
    """A folder's own files, and the folders in it."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        (folder / ".").stat()  # a folder may be listed and its files yet out of reach
    except OSError as error:
        yield Found(folder, f"cannot be read: {error.strerror}")
        return
    for entry in entries:  # which know what they are without a call of the system
        path = folder / entry.name
        named_so = path.suffix.lower() in SUFFIXES
        if entry.is_symlink():
            target = Path(os.path.realpath(path))
            to_folder = target.is_dir()
            if not (named_so or to_folder):
                continue
            if not target.is_relative_to(root):
                yield Found(path, "a link that leads out of the folder")
            elif to_folder:
                yield Found(path, "a link to a folder")
            else:
                yield _checked(path)
        elif entry.is_dir(follow_symlinks=False):
            if leave_out is None or path.resolve() != leave_out:
                yield path
        elif named_so:
            regular = entry.is_file(follow_symlinks=False)
            yield Found(path, None if regular else NOT_REGULAR)


def _checked(path: Path) -> Found:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return Found(path, f"cannot be read: {error.strerror}")
    return Found(path, None if regular else NOT_REGULAR)
