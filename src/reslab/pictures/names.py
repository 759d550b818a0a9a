"""The files that were given, by all that a table of labels may call them."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath


class Names:
    """The files that were given, by all that rows may call them.

    Args:
        base: The folder from which rows name files.
        files: The files.
    """

    def __init__(self, base: Path, files: Sequence[Path]) -> None:
        self.base = base
        self.given = {key_of(path): path for path in files}

    def is_exact(self, name: str) -> bool:
        """Whether a row names a given file to the letter."""
        return key_of(self.base / name) in self.given

    def is_there(self, name: str) -> bool:
        """Whether it names a file that is there, given or not."""
        return bool(name) and any(
            os.path.lexists(key_of(self.base / one)) for one in (name, name.replace("\\", "/"))
        )

    def find(self, name: str) -> list[str]:
        """The keys of the files that a row may name: the nearest to what it says, if there are."""
        if self.is_exact(name):
            return [key_of(self.base / name)]
        path = PurePosixPath(name.replace("\\", "/"))
        parts = tuple(_folded(part) for part in path.parts if part != ".")
        if not parts:
            return []
        alike = self._by_name.get(parts[-1], [])
        beside = tuple(_folded(part) for part in Path(key_of(self.base / path)).parts)
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


def key_of(path: Path) -> str:
    """The same for all that a path may be written as, links aside."""
    return os.path.normpath(path.absolute())


def _folded(name: str) -> str:
    """The same for names that look the same: in other case, composed otherwise, in Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        name = name.encode(errors="surrogateescape").decode("latin1")
    return unicodedata.normalize("NFC", name).casefold()
