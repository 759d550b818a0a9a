"""Picture files on disk, by their names and else by their first bytes."""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.files import visible
from reslab.pictures.formats import FIRST_BYTES, FORMATS, NOT_READ, SUFFIXES, format_of

NOT_REGULAR = "not a regular file"
# What systems leave in folders, beside what is hidden by a dot.
LITTER = (
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "@__thumb"),
    *("$recycle.bin", "system volume information", "lost+found", "__pycache__"),
)
HIDDEN, HIDDEN_FOLDERS = "hidden", "hidden folder(s)"
WITHOUT_PICTURES = "folder(s) without pictures"
NUM_NAMED = 3  # of each kind
NUM_KINDS = 8  # in one line


@dataclass(frozen=True)
class Found:
    """A file to read, with its name as the user would write it, or why it cannot be."""

    path: Path
    problem: str | None = None


@dataclass
class Named:
    """Things that are counted, the first of them by name."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Counts one."""
        self.count += 1
        if len(self.names) < NUM_NAMED:
            self.names.append(name)

    def __str__(self) -> str:
        return visible(", ".join(self.names)) + (", …" if self.count > len(self.names) else "")


class Skipped:
    """What lies in folders and is not read, counted by kind.

    Attributes:
        kinds: By what they are: the ending of files that are no pictures, a picture's format that
            is not read, `hidden`, `hidden folder(s)`, `folder(s) without pictures`, or why a file
            was not looked into.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, Named] = defaultdict(Named)

    def add(self, kind: str, path: Path) -> None:
        """Counts a file or a folder."""
        self.kinds[kind].add(path.name)

    @property
    def files(self) -> int:
        """How many, without folders: nobody knows what the hidden ones hold."""
        folders = (HIDDEN_FOLDERS, WITHOUT_PICTURES)
        return sum(one.count for kind, one in self.kinds.items() if kind not in folders)

    @property
    def pictures(self) -> bool:
        """Whether there are pictures among it, of formats that are not read."""
        return not NOT_READ.isdisjoint(self.kinds)

    def as_json(self) -> dict[str, Any]:
        """By kind, how many, and the first names."""
        return {
            kind: {"count": one.count, "names": [visible(name) for name in one.names]}
            for kind, one in self.kinds.items()
        }

    def __str__(self) -> str:
        """`3 .txt (a.txt, b.txt, c.txt), 1 hidden (.DS_Store)`, the most first; or nothing."""
        ranked = sorted(self.kinds.items(), key=lambda item: (-item[1].count, item[0]))
        parts = [f"{one.count:,} {kind} ({one})" for kind, one in ranked[:NUM_KINDS]]
        if further := ranked[NUM_KINDS:]:
            count = sum(one.count for _, one in further)
            parts.append(f"{count:,} of {len(further)} further kinds")
        return ", ".join(parts)


def find_pictures(
    paths: Sequence[Path], leave_out: Path | None = None, skipped: Skipped | None = None
) -> Iterator[Found]:
    """Files as they are given, and the pictures below folders, sorted.

    Below a folder a file is a picture by its name, or else by its first bytes. What has a picture's
    name and cannot be read is given with its problem: what is no regular file, and symbolic links
    that lead out of the folder or to a folder. All else is skipped, and hidden files and folders
    and what systems leave behind, whatever they hold. What lies below `leave_out`, where results
    are written, is passed over.

    Of several paths, which a shell may have made of a `*`, those are skipped too that would be
    below a folder, and folders without pictures.

    Args:
        paths: Files, which are not looked into, and folders.
        leave_out: A folder that is not looked into, wherever it is found.
        skipped: Told what is skipped, as the iteration comes to it.

    Raises:
        UserError: A path does not exist, or there is no picture at all.
    """
    several = len(paths) > 1
    skipped = Skipped() if skipped is None else skipped
    leave_out = leave_out and leave_out.resolve()
    nothing = True
    for path in paths:
        is_folder = path.is_dir()
        if not is_folder and not path.exists() and not path.is_symlink():
            raise UserError(f"{path} does not exist")
        if several and _is_litter(path.name):
            skipped.add(HIDDEN_FOLDERS if is_folder else HIDDEN, path)
        elif not is_folder:
            nothing = False
            yield _checked(path)
        elif path.resolve() != leave_out:
            empty = True
            for found in _walk(path, path.resolve(), leave_out, skipped):
                nothing = empty = False
                yield found
            if empty and several:
                skipped.add(WITHOUT_PICTURES, path)
    if nothing:
        what = f"none of the {len(paths):,} paths has" if several else f"{paths[0]} has no"
        others = f"; skipped: {skipped}" if skipped.kinds else ""
        raise UserError(f"{what} pictures in it ({', '.join(FORMATS)}){others}")


def _is_litter(name: str) -> bool:
    """Whether a file or a folder is hidden, or one that systems leave behind."""
    return (name.startswith(".") and name != "..") or name.lower() in LITTER


def _walk(folder: Path, root: Path, leave_out: Path | None, skipped: Skipped) -> Iterator[Found]:
    waiting: list[Path | Found] = [folder]  # the next one last; folders to list, files found
    while waiting:
        found = waiting.pop()
        if isinstance(found, Path):
            waiting.extend(reversed(list(_listed(found, root, leave_out, skipped))))
        else:
            yield found


def _listed(
    folder: Path, root: Path, leave_out: Path | None, skipped: Skipped
) -> Iterator[Path | Found]:
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
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and leave_out is not None and path.resolve() == leave_out:
            continue
        if _is_litter(entry.name):
            skipped.add(HIDDEN_FOLDERS if is_folder else HIDDEN, path)
        elif is_folder:
            yield path
        else:
            found = _link(path, root) if entry.is_symlink() else _checked(path, entry)
            if path.suffix.lower() in SUFFIXES or path.is_dir():
                yield found
            elif found.problem is None:
                kind = _kind(path)
                if kind in FORMATS:
                    yield found
                else:
                    skipped.add(kind, path)
            else:
                skipped.add(found.problem.removeprefix("a "), path)


def _link(path: Path, root: Path) -> Found:
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(root):
        return Found(path, "a link that leads out of the folder")
    return Found(path, "a link to a folder") if target.is_dir() else _checked(path)


def _checked(path: Path, entry: os.DirEntry[str] | None = None) -> Found:
    try:
        regular = entry.is_file() if entry else stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return Found(path, f"cannot be read: {error.strerror}")
    return Found(path, None if regular else NOT_REGULAR)


def _kind(path: Path) -> str:
    """The format of a picture, or what is said of another file where it is counted."""
    try:
        with open(path, "rb", buffering=0) as file:
            first = file.read(FIRST_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    ending = path.suffix.lower()
    telling = re.fullmatch(r"\.(?!\d+$)\w{1,10}", ending)
    return format_of(first, ending) or (ending if telling else "of no known ending")
