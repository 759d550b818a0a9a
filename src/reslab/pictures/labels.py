"""The true classes of picture files."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.config import suggest
from reslab.errors import UserError
from reslab.files import visible
from reslab.pictures.find import Named
from reslab.pictures.formats import SUFFIXES
from reslab.pictures.table import Row, is_heading, read_table

FOLDERS = "folders"


class Labels:
    """The classes of files, and what of the truth is not used.

    Attributes:
        asked: As the user gave it.
        classes: By the key of a file's path.
        unlabelled: Files without a class.
        unknown_folders: Folders that are no class, if folders are the classes.
        rows: How many rows name a class, if a table has the classes.
        nameless: Rows that name no file.
        ambiguous: Rows that may name several files.
        others: How many rows name files that were not given.
        alike: Rows that do not name a file to the letter, and the file that they are taken for.
        remarks: How the table was read.
    """

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.unlabelled = Named()
        self.unknown_folders: dict[str, int] = defaultdict(int)
        self.rows: int | None = None
        self.nameless, self.ambiguous, self.alike = Named(), Named(), Named()
        self.others = 0
        self.remarks: list[str] = []
        self.classes: dict[str, int] = {}

    def __call__(self, path: Path) -> int | None:
        """The class of a file, None where it has none."""
        return self.classes.get(_key(path))

    def said(self) -> list[str]:
        """What the user is to know, a line each."""
        said = [f"{self.asked}: {'; '.join(self.remarks)}"] if self.remarks else []
        if self.alike.count:
            said.append(
                f"{self.alike.count:,} of {self.rows:,} rows name a file but for folder, ending or "
                f"case: {self.alike}"
            )
        if self.nameless.count:
            said.append(
                f"{self.nameless.count:,} of {self.rows:,} rows name no file: {self.nameless}"
            )
        if self.ambiguous.count:
            said.append(
                f"{self.ambiguous.count:,} of {self.rows:,} rows may name several files: "
                f"{self.ambiguous}"
            )
        if self.others:
            said.append(f"{self.others:,} of {self.rows:,} rows name files that were not given")
        if self.unknown_folders:
            ranked = sorted(self.unknown_folders.items(), key=lambda item: (-item[1], item[0]))
            names = ", ".join(f"{visible(name)} ({count:,})" for name, count in ranked[:3])
            more = ", …" if len(ranked) > 3 else ""
            said.append(f"folders that are no class, with their files: {names}{more}")
        return said

    def as_json(self) -> dict[str, Any]:
        """The same in numbers."""
        return {
            "rows": self.rows,
            "rows_naming_no_file": self.nameless.count,
            "rows_naming_several_files": self.ambiguous.count,
            "rows_naming_files_not_given": self.others,
            "files_without_label": self.unlabelled.count,
            "remarks": self.said(),
        }


def read_labels(asked: str, class_names: tuple[str, ...], files: Sequence[Path]) -> Labels:
    """What `--labels` says of files.

    Args:
        asked: `folders`, for a folder a class; or a CSV file with a file, from the CSV's folder,
            and its class or nothing in each row. What names no file to the letter names the one
            that is called so but for its folder, its ending, upper case or backslashes.
        class_names: The network's classes; where none is a number, their numbers do too.
        files: The pictures.

    Raises:
        UserError: The file cannot be read, names a class that the network does not have, or two
            classes of one file; or no file has a class.
    """
    classes = {name: index for index, name in enumerate(class_names)}
    if not any(name.isdecimal() for name in class_names):
        classes |= {str(index): index for index in range(len(class_names))}
    labels = Labels(asked)
    (_by_folder if asked == FOLDERS else _by_table)(labels, classes, files)
    for path in files:
        if labels(path) is None:
            labels.unlabelled.add(str(path))
    if labels.unlabelled.count < len(files):
        return labels
    if asked == FOLDERS:
        known = suggest(next(iter(labels.unknown_folders), ""), class_names)
        raise UserError(
            f"--labels folders: of each of the {len(files)} files its folder is no class{known}"
        )
    said = "".join(f"; {line}" for line in labels.said())
    raise UserError(f"--labels {asked}: it names none of the {len(files)} files{said}")


def _by_folder(labels: Labels, classes: Mapping[str, int], files: Sequence[Path]) -> None:
    for path in files:
        folder = path.absolute().parent.name
        if folder in classes:
            labels.classes[_key(path)] = classes[folder]
        else:
            labels.unknown_folders[folder] += 1


def _by_table(labels: Labels, classes: Mapping[str, int], files: Sequence[Path]) -> None:
    file = Path(labels.asked)
    table = read_table(file, classes)
    labels.remarks = table.remarks
    names = _Names(file.absolute().parent, files)
    rows = [row for row in table.rows if row.label]
    may_be_headings = not table.has_headings and rows and rows[0] == table.rows[0]
    if may_be_headings and _are_headings(rows[0], classes, names):
        labels.remarks.append(
            f"its first row ({rows[0].file}, {rows[0].label}) is taken for headings"
        )
        del rows[0]
    labels.rows = len(rows)
    for row in rows:
        if row.label not in classes:
            raise UserError(
                f"{file}: line {row.line}: {row.file}, {row.label}: not a file and a class"
                f"{suggest(row.label, classes)}"
            )
        found = names.find(row.file)
        if len(found) > 1:
            labels.ambiguous.add(row.file)
        elif not found and names.is_there(row.file):
            labels.others += 1
        elif not found:
            labels.nameless.add(row.file)
        else:
            if not names.is_exact(row.file):
                labels.alike.add(f"{row.file} ({names.given[found[0]]})")
            if labels.classes.setdefault(found[0], classes[row.label]) != classes[row.label]:
                raise UserError(f"{file}: {row.file} has two classes: leave one of its rows")


def _are_headings(row: Row, classes: Mapping[str, int], names: "_Names") -> bool:
    """Whether a first row says what is below it, and is not a file and a misspelt class."""
    if row.label in classes or names.find(row.file) or names.is_there(row.file):
        return False
    if is_heading(row.file) or is_heading(row.label):
        return True
    if any(PurePosixPath(cell).suffix.lower() in SUFFIXES for cell in (row.file, row.label)):
        return False
    return not suggest(row.label, classes, listed=False)


class _Names:
    """The files that were given, by all that rows may call them.

    Args:
        base: The folder from which rows name files.
        files: The files.
    """

    def __init__(self, base: Path, files: Sequence[Path]) -> None:
        self.base = base
        self.given = {_key(path): path for path in files}

    def is_exact(self, name: str) -> bool:
        """Whether a row names a given file to the letter."""
        return _key(self.base / name) in self.given

    def is_there(self, name: str) -> bool:
        """Whether it names a file that is there, given or not."""
        return bool(name) and any(
            os.path.lexists(_key(self.base / one)) for one in (name, name.replace("\\", "/"))
        )

    def find(self, name: str) -> list[str]:
        """The keys of the files that a row may name: the nearest to what it says, if there are."""
        if self.is_exact(name):
            return [_key(self.base / name)]
        path = PurePosixPath(name.replace("\\", "/"))
        parts = tuple(_folded(part) for part in path.parts if part != ".")
        if not parts:
            return []
        alike = self._by_name.get(parts[-1], [])
        beside = tuple(_folded(part) for part in Path(_key(self.base / path)).parts)
        near = [key for key, folders in alike if folders == beside[:-1]]
        if near or path.is_absolute() or ".." in parts:
            return near
        number = len(parts) - 1
        return [key for key, folders in alike if folders[len(folders) - number :] == parts[:-1]]

    @cached_property
    def _by_name(self) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
        """Keys and folders of files by their names, with the ending and without."""
        by_name: dict[str, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
        for key in self.given:
            path = Path(key)
            folders = tuple(_folded(part) for part in path.parent.parts)
            for name in {_folded(path.name), _folded(path.stem)}:
                by_name[name].append((key, folders))
        return by_name


def _key(path: Path) -> str:
    return os.path.normpath(path.absolute())


def _folded(name: str) -> str:
    """The same for names that look the same: in other case, composed otherwise, in Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        name = name.encode(errors="surrogateescape").decode("latin1")
    return unicodedata.normalize("NFC", name).casefold()
