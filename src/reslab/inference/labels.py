"""The true classes of picture files."""

import csv
import os
from collections.abc import Callable
from pathlib import Path

from reslab.config import suggest
from reslab.errors import UserError

Labels = Callable[[Path], int | None]
"""The class of a file, None where it has none."""

FOLDERS = "folders"


def read_labels(asked: str, class_names: tuple[str, ...]) -> Labels:
    """What `--labels` says.

    Args:
        asked: `folders`, for a folder a class; or a CSV file whose first two columns are a file,
            from the CSV's folder, and its class, after one line of headings.
        class_names: The network's classes; where none is a number, their numbers do too.

    Raises:
        UserError: The file cannot be read, or names a class that the network does not have.
    """
    numbers = {name: index for index, name in enumerate(class_names)}
    if not any(name.isdecimal() for name in class_names):
        numbers |= {str(index): index for index in range(len(class_names))}
    if asked == FOLDERS:
        return lambda path: _from_folder(path, numbers)
    return _from_csv(Path(asked), numbers)


def _from_folder(path: Path, numbers: dict[str, int]) -> int:
    name = path.absolute().parent.name
    if name not in numbers:
        raise UserError(f"{path}: its folder is no class{suggest(name, numbers)}")
    return numbers[name]


def _from_csv(file: Path, numbers: dict[str, int]) -> Labels:
    labels: dict[str, int] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            for row in [row for row in csv.reader(lines) if row][1:]:
                if len(row) < 2 or row[1] not in numbers:
                    known = suggest(row[1], numbers) if len(row) > 1 else ""
                    raise UserError(f"{file}: {', '.join(row)}: not a file and a class{known}")
                labels[os.path.normpath(file.absolute().parent / row[0])] = numbers[row[1]]
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}") from error
    return lambda path: labels.get(os.path.normpath(path.absolute()))
