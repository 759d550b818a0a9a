"""What a person should know of a data set."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from reslab.data.decoded import Decoded
from reslab.pictures.folder import Picture, PictureFolder

NUM_NAMED = 10  # files that a warning names before it counts the others


@dataclass(frozen=True)
class Remark:
    """What a person should know of a data set.

    Attributes:
        text: It.
        files: Those that it is about.
        warns: Whether it is to be said before training, not only where one asks.
        remedy: What is to be done before anything is trained; empty where nothing must be.
    """

    text: str
    files: tuple[str, ...] = ()
    warns: bool = True
    remedy: str = ""

    @property
    def warning(self) -> str:
        """The text and the first files."""
        return "\n".join(self.lines(NUM_NAMED))

    @property
    def refusal(self) -> str:
        """Why nothing is trained, in a line."""
        return f"{self.text}, such as {self.files[0]}; {self.remedy}; `reslab data` lists them all"

    def lines(self, most: int | None = None) -> list[str]:
        """The text and, below it, the files: all, or so many of them."""
        further = len(self.files[:most]) < len(self.files)
        more = [f"  and {len(self.files) - most:,} more"] if most and further else []
        return [self.text, *(f"  {file}" for file in self.files[:most]), *more]


def say_unreadable(folder: PictureFolder, found: Decoded, remedy: str = "") -> Remark:
    """How many pictures cannot be read, and why each; `remedy` where that must not be."""
    number, total = len(found.problems), len(folder.pictures)
    files = tuple(f"{folder.pictures[at].path}: {text}" for at, text in found.problems.items())
    return Remark(f"{number:,} of {total:,} pictures cannot be read", files, remedy=remedy)


def remark_on(folder: PictureFolder, parts: dict[str, Tensor]) -> Iterator[Remark]:
    """What a person should know of a folder, beside what cannot be read.

    Args:
        folder: It.
        parts: The numbers of the pictures of each part.
    """
    for reason, number in Counter(one.problem for one in folder.left_out).items():
        files = tuple(str(one.path) for one in folder.left_out if one.problem == reason)
        yield Remark(f"left out, {reason}: {number:,}", files)
    yield from _repeated(folder, parts)
    if folder.skipped:
        yield Remark(f"skipped: {folder.skipped}", warns=False)
    sizes = [one.look.size for one in folder.pictures if one.look.size]
    if sizes:
        sizes.sort(key=math.prod)
        smallest, median, largest = (
            "x".join(map(str, sizes[at])) for at in (0, len(sizes) // 2, -1)
        )
        color = "gray" if folder.channels == 1 else "in color"
        yield Remark(f"{color}, {smallest} to {largest} pixels, median {median}", warns=False)


def _repeated(folder: PictureFolder, parts: dict[str, Tensor]) -> Iterator[Remark]:
    """Pictures with the same bytes in two parts, or in two classes."""
    first: dict[str, tuple[str, Picture]] = {}
    in_parts, in_classes = [], []
    for part, numbers in parts.items():
        for picture in (folder.pictures[at] for at in numbers.tolist()):
            where, other = first.setdefault(picture.digest, (part, picture))
            if where != part:
                in_parts.append(f"{picture.path} ({part}) is {other.path} ({where})")
            if other.class_name != picture.class_name:
                in_classes.append(f"{picture.path} is {other.path}")
    if in_parts:
        yield Remark(
            f"the same picture in two of train, val and test: {len(in_parts):,}", tuple(in_parts)
        )
    if in_classes:
        yield Remark(f"the same picture in two classes: {len(in_classes):,}", tuple(in_classes))
