"""The true classes of picture files."""

import csv
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
        class_names: The network's classes; their numbers are understood too.

    Raises:
        UserError: The file cannot be read, or names a class that the network does not have.
    """
    numbers = {name: index for index, name in enumerate(class_names)}
    if asked == FOLDERS:
        return lambda path: _from_folder(path, numbers)
    return _from_csv(Path(asked), numbers)


def _number(name: str, numbers: dict[str, int]) -> int | None:
    if name in numbers:
        return numbers[name]
    return int(name) if name.isdecimal() and int(name) < len(numbers) else None


def _from_folder(path: Path, numbers: dict[str, int]) -> int | None:
    number = _number(path.absolute().parent.name, numbers)
    if number is None:
        name = path.absolute().parent.name
        raise UserError(f"{path}: its folder is no class{suggest(name, numbers)}")
    return number


def _from_csv(file: Path, numbers: dict[str, int]) -> Labels:
    labels: dict[Path, int] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as lines:
            for row in list(csv.reader(lines))[1:]:
                if len(row) < 2:
                    raise UserError(f"{file}: {row} must be a file and its class")
                number = _number(row[1], numbers)
                if number is None:
                    raise UserError(
                        f"{file}: {row[0]}: {row[1]} is no class{suggest(row[1], numbers)}"
                    )
                labels[(file.parent / row[0]).absolute()] = number
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is not a CSV file: {error}") from error
    return lambda path: labels.get(path.absolute())
