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
            from the CSV's folder, and its class or nothing. A first line that names no class holds
            headings.
        class_names: The network's classes; where none is a number, their numbers do too.

    Raises:
        UserError: The file cannot be read, names a class that the network does not have, or two
            classes of one file.
    """
    numbers = {name: index for index, name in enumerate(class_names)}
    if not any(name.isdecimal() for name in class_names):
        numbers |= {str(index): index for index in range(len(class_names))}
    if asked == FOLDERS:
        return lambda path: numbers.get(path.absolute().parent.name)
    return _from_csv(Path(asked), numbers)


def nothing_labelled(asked: str, class_names: tuple[str, ...], total: int) -> UserError:
    """What is said where no file has a label."""
    if asked == FOLDERS:
        known = suggest("", class_names)
        return UserError(
            f"--labels folders: of each of the {total} files its folder is no class{known}"
        )
    return UserError(f"--labels {asked}: it names none of the {total} files")


def _from_csv(file: Path, numbers: dict[str, int]) -> Labels:
    labels: dict[str, int] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines) if row]
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}") from error
    if rows and (len(rows[0]) < 2 or rows[0][1] not in numbers):
        del rows[0]  # headings
    for row in rows:
        if len(row) > 1 and not row[1]:
            continue
        if len(row) < 2 or row[1] not in numbers:
            known = suggest(row[1], numbers) if len(row) > 1 else ""
            raise UserError(f"{file}: {', '.join(row)}: not a file and a class{known}")
        path = os.path.normpath(file.absolute().parent / row[0])
        if labels.setdefault(path, numbers[row[1]]) != numbers[row[1]]:
            raise UserError(f"{file}: {row[0]} has two classes: leave one of its rows")
    return lambda path: labels.get(os.path.normpath(path.absolute()))
