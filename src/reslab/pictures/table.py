"""A CSV file of labels as people have them: any separator, encoding, order of columns."""

import codecs
import csv
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

from reslab.errors import UserError

SEPARATORS = {
    **{",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"},
    ":": "colons",
}
SAMPLE = 1_000  # lines, by which the separator is chosen
# Headings that say which column it is; the first of these that there are.
FILES = (
    *("file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath"),
    *("img", "imgname", "imgpath", "picture", "imageid", "imgid", "id", "name"),
)
CLASSES = (
    *("label", "class", "classname", "labelname", "category", "target", "truth", "species"),
    *("labels", "classes", "classid", "labelid", "y"),
)
ONE_HOT = {"0": 0, "0.0": 0, "1": 1, "1.0": 1}


class Row(NamedTuple):
    """What a line says of a file; `line` counts from 1."""

    line: int
    file: str
    label: str


class Table(NamedTuple):
    """The rows of a file of labels.

    Attributes:
        rows: All but headings that are known as such.
        has_headings: Whether there are such.
        remarks: How it was read, where that is not told by its being a CSV file.
    """

    rows: list[Row]
    has_headings: bool
    remarks: list[str]


def read_table(file: Path, classes: Container[str]) -> Table:
    """Reads a file of labels.

    Its separator is the one that makes the most classes known, and the most rows of one length.
    Its columns are those whose headings say so, or a column of 0 and 1 for each class; else the
    first two.

    Raises:
        UserError: It is no such file, a row has no second column, or not one 1 where there is a
            column for each class.
    """
    text, remarks = _decoded(file)
    lines = text.splitlines(keepends=True)
    scores = {one: _score(list(_rows(lines[:SAMPLE], one)), classes) for one in SEPARATORS}
    separator = max(SEPARATORS, key=scores.__getitem__)  # of two that are as good the first
    try:
        rows = list(_rows(lines, separator, strict=True))
    except csv.Error as error:
        raise UserError(f"{file} is not a CSV file: {error}") from error
    if rows and separator != ",":
        remarks.append(f"its columns are separated by {SEPARATORS[separator]}")
    headings = rows[0][1] if rows else []
    at = _columns(headings, classes)
    if at:
        del rows[0]
        if at != (0, 1):
            remarks.append(f"its columns {headings[at[0]]} and {headings[at[1]]} are read")
    elif columns := _one_hot(rows, classes):
        remarks.append(f"its {len(columns) - 1} columns of classes have a 1 for the class")
        return Table(list(_hot_rows(file, rows, columns)), True, remarks)
    elif len(headings) > 2:
        remarks.append(f"of its {len(headings)} columns the first two are read")
    named, labelled = at or (0, 1)
    for number, cells in rows:
        if len(cells) <= max(named, labelled):
            said = ", ".join(cells)
            raise UserError(
                f"{file}: line {number}: {said}: not a file and a class, separated by "
                f"{SEPARATORS[separator]}"
            )
    return Table([Row(n, cells[named], cells[labelled]) for n, cells in rows], bool(at), remarks)


def _decoded(file: Path) -> tuple[str, list[str]]:
    """Its text, and a remark if it is not in UTF-8; a name that is not stays what it is on disk."""
    content = file.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace"), ["it is read as UTF-16"]
    text = content.decode("utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        raise UserError(f"{file} is not a CSV file, which is text: save it as one")
    return text, []


def _rows(
    lines: list[str], separator: str, *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with the numbers of their lines."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=separator == " ")
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells) and not (reader.line_num == 1 and cells[0].startswith("sep=")):  # Excel's
                yield reader.line_num, cells
    except csv.Error:
        if strict:
            raise


def _score(rows: list[tuple[int, list[str]]], classes: Container[str]) -> tuple[int, int]:
    """Rows with a class in them, and rows of the commonest number of columns, of several."""
    several = [cells for _, cells in rows if len(cells) > 1]
    known = sum(any(cell in classes for cell in cells) for cells in several)
    lengths = Counter(map(len, several)).most_common(1)
    return known, lengths[0][1] if lengths else 0


def _columns(headings: list[str], classes: Container[str]) -> tuple[int, int] | None:
    """Which columns have a file and its class by their headings; None if these do not say both."""
    words = [_word(cell) for cell in headings]
    files = [words.index(name) for name in FILES if name in words]
    labels = [words.index(name) for name in CLASSES if name in words]
    if not files or not labels or headings[labels[0]] in classes:
        return None
    return files[0], labels[0]


def _one_hot(rows: list[tuple[int, list[str]]], classes: Container[str]) -> list[int]:
    """The columns of the file and of each class, if such are what the headings name; or none.

    Where the first heading is not known for one of files, the cells must not contradict.
    """
    headings = rows[0][1] if rows else []
    of_classes = [at for at, cell in enumerate(headings) if at and cell in classes]
    if len(of_classes) < 2 or len({headings[at] for at in of_classes}) < len(of_classes):
        return []
    words = [_word(cell) for cell in headings]
    named = next((words.index(name) for name in FILES if name in words), 0)
    cells = [{cells[at] for at in of_classes if at < len(cells)} for _, cells in rows]
    is_told_apart = not cells[0] <= ONE_HOT.keys() and set().union(*cells[1:]) <= {"", *ONE_HOT}
    return [named, *of_classes] if words[named] in ("", *FILES) or is_told_apart else []


def _hot_rows(file: Path, rows: list[tuple[int, list[str]]], columns: list[int]) -> Iterator[Row]:
    headings = rows[0][1]
    for number, row in rows[1:]:
        cells = [row[at] if at < len(row) else "" for at in columns]
        given = [ONE_HOT.get(cell, -1) for cell in cells[1:]]
        if not any(cells[1:]):
            yield Row(number, cells[0], "")
        elif sorted(given) == [0] * (len(given) - 1) + [1]:
            yield Row(number, cells[0], headings[columns[1:][given.index(1)]])
        else:
            names = ", ".join(headings[at] for at in columns[1:])
            raise UserError(
                f"{file}: line {number}: {cells[0]}: one 1 and else 0 is to stand under {names}"
            )


def is_heading(cell: str) -> bool:
    """Whether a column of files or classes is often called so."""
    return _word(cell) in (*FILES, *CLASSES)


def _word(cell: str) -> str:
    return "".join(filter(str.isalnum, cell.casefold()))
