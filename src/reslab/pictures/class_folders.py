"""Which of a picture's folders is its class, as training on a folder has it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from reslab.pictures.folder import SPELLINGS, TRAIN


class Choice(NamedTuple):
    """The folder of a file that is its class, or else one that it lies in.

    `is_above` says that the folder lies above what was given.
    """

    file: Path
    folder: Path
    is_class: bool
    is_above: bool


def class_folders(
    files: Sequence[Path], given: Collection[Path], names: Container[str], others: Container[str]
) -> Iterator[Choice]:
    """The folder of each file that is its class.

    It is the outermost below the given one that is a class; else the nearest at or above that, but
    none above a folder that holds classes. Of `train`, `val` and `test` the classes come first.

    Args:
        files: Absolute, as are the given ones, and without `..`.
        given: The files, or folders above them. Those in one folder, as a shell makes them of
            `pets/*`, stand for that folder.
        names: Names of classes.
        others: What else says a class, where no folder has a class's name.
    """
    side_by_side = Counter(path.parent for path in set(given))
    roots = {path.parent if side_by_side[path.parent] > 1 else path for path in given}
    by_root: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        root = next((one for one in reversed(file.parents) if one in roots), file.parent)
        by_root[root].append(file)
    for root, own in by_root.items():
        below = _below(root, own)
        classes = names if _any(below, names) else others
        around = root if root.name in classes else None
        if not _any(below, classes):
            around = next((one for one in (root, *root.parents) if one.name in names), around)
        for file, folders in zip(own, below, strict=True):
            chosen = next((one for one in folders if one.name in classes), around)
            outermost = folders[0] if folders else root
            yield Choice(file, chosen or outermost, chosen is not None, chosen in root.parents)


def _below(root: Path, files: Sequence[Path]) -> list[list[Path]]:
    """The folders of each file below the root, the outermost first, but parts after classes."""
    below = []
    for file in files:
        depth = len(file.relative_to(root).parts) - 1
        below.append(list(reversed(file.parents[:depth])))
    if any(SPELLINGS.get(folders[0].name.lower()) == TRAIN for folders in below if folders):
        for folders in below:
            if folders and folders[0].name.lower() in SPELLINGS:
                folders.append(folders.pop(0))
    return below


def _any(below: Sequence[Sequence[Path]], classes: Container[str]) -> bool:
    return any(folder.name in classes for folders in below for folder in folders)
