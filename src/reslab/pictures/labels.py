"""The true classes of picture files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.config import suggest
from reslab.errors import UserError
from reslab.files import visible
from reslab.pictures.class_folders import class_folders
from reslab.pictures.find import Named
from reslab.pictures.formats import SUFFIXES
from reslab.pictures.names import Names, key_of
from reslab.pictures.table import Row, is_heading, read_table

FOLDERS = "folders"


class Labels:
    """The classes of files, and what of the truth is not used.

    Attributes:
        asked: As the user gave it.
        classes: By the key of a file's path.
        unlabelled: Files without a class.
        unknown_folders: Folders that are no class, if folders are the classes.
        from_above: Classes of folders above what was given, if no folder below is one.
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
        self.unknown_folders: Counter[str] = Counter()
        self.from_above: Counter[str] = Counter()
        self.rows: int | None = None
        self.nameless, self.ambiguous, self.alike = Named(), Named(), Named()
        self.others = 0
        self.remarks: list[str] = []
        self.classes: dict[str, int] = {}

    def __call__(self, path: Path) -> int | None:
        """The class of a file, None where it has none."""
        return self.classes.get(key_of(path))

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
        folders = {
            "folders above what was given that are the class": self.from_above,
            "folders that are no class": self.unknown_folders,
        }
        for kind, counted in folders.items():
            if counted:
                ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
                names = ", ".join(f"{visible(name)} ({count:,})" for name, count in ranked[:3])
                more = ", …" if len(ranked) > 3 else ""
                said.append(f"{kind}, with their files: {names}{more}")
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


def read_labels(
    asked: str, class_names: tuple[str, ...], files: Sequence[Path], given: Sequence[Path] = ()
) -> Labels:
    """What `--labels` says of files.

    Args:
        asked: `folders`, for a folder a class, as `class_folders` chooses it; or a CSV file with a
            file, from the CSV's folder, and its class or nothing in each row. What names no file to
            the letter names the one that is called so but for its folder, its ending, upper case or
            backslashes.
        class_names: The network's classes; where none is a number, their numbers do too.
        files: The pictures.
        given: Files, and folders below which pictures were found; without any, the files were.

    Raises:
        UserError: The file cannot be read, names a class that the network does not have, or two
            classes of one file; or no file has a class.
    """
    classes = {name: index for index, name in enumerate(class_names)}
    if not any(name.isdecimal() for name in class_names):
        classes |= {str(index): index for index in range(len(class_names))}
    labels = Labels(asked)
    if asked == FOLDERS:
        _by_folder(labels, classes, class_names, files, given)
    else:
        _by_table(labels, classes, files)
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


def _by_folder(
    labels: Labels,
    classes: Mapping[str, int],
    class_names: tuple[str, ...],
    files: Sequence[Path],
    given: Sequence[Path],
) -> None:
    keys, roots = ([Path(key_of(path)) for path in paths] for paths in (files, given))
    for one in class_folders(keys, roots, class_names, classes):
        if not one.is_class:
            labels.unknown_folders[one.folder.name] += 1
            continue
        labels.classes[str(one.file)] = classes[one.folder.name]
        if one.is_above:
            labels.from_above[str(one.folder)] += 1


def _by_table(labels: Labels, classes: Mapping[str, int], files: Sequence[Path]) -> None:
    file = Path(labels.asked)
    table = read_table(file, classes)
    labels.remarks = table.remarks
    names = Names(file.absolute().parent, files)
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


def _are_headings(row: Row, classes: Mapping[str, int], names: Names) -> bool:
    """Whether a first row says what is below it, and is not a file and a misspelt class."""
    if row.label in classes or names.find(row.file) or names.is_there(row.file):
        return False
    if is_heading(row.file) or is_heading(row.label):
        return True
    if any(PurePosixPath(cell).suffix.lower() in SUFFIXES for cell in (row.file, row.label)):
        return False
    return not suggest(row.label, classes, listed=False)
