"""A folder of pictures as a data set: its parts, its classes, and what it is known by."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.files import visible
from reslab.pictures.find import NUM_NAMED, Found, Skipped, find_pictures
from reslab.pictures.look import Look, look

TRAIN, VAL, TEST = PARTS = ("train", "val", "test")
# Names of folders, in small letters, that divide a data set.
SPELLINGS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
LAYOUT = (
    "put the pictures of each class into a folder of its name (DIR/cat, DIR/dog), or such folders "
    "into DIR/train, DIR/val and DIR/test"
)
BESIDE_CLASSES = "not in a class's folder"
BESIDE_PARTS = "neither in train, nor in val, nor in test"


@dataclass(frozen=True)
class Picture:
    """A file in a class's folder.

    Attributes:
        path: The file.
        part: `train`, `val` or `test`; None where the folder is not divided.
        class_name: Its class.
        digest: BLAKE2b of its bytes; empty where they cannot be read.
        look: What its header says.
    """

    path: Path
    part: str | None
    class_name: str
    digest: str
    look: Look


@dataclass(frozen=True)
class PictureFolder:
    """What a folder holds.

    Attributes:
        root: The folder.
        pictures: Those of classes, in an order that their parts, classes and bytes decide.
        class_names: Names of the classes that there are to learn, sorted.
        left_out: Pictures that are of no class, or cannot be read, and why.
        skipped: Other files, counted by kind; empty for none.
    """

    root: Path
    pictures: tuple[Picture, ...]
    class_names: tuple[str, ...]
    left_out: tuple[Found, ...]
    skipped: str

    @property
    def name(self) -> str:
        """The folder's own, without what is no good in names of files."""
        return re.sub(r"[^\w.-]+", "_", self.root.resolve().name).strip("._-") or "folder"

    @property
    def num_classes(self) -> int:
        """How many classes there are to learn."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """1 if all pictures are grey, else 3."""
        return 1 if all(picture.look.is_grey is not False for picture in self.pictures) else 3

    @property
    def content(self) -> str:
        """BLAKE2b over parts, classes and bytes: wherever they lie and whatever files are named."""
        digest = hashlib.blake2b(digest_size=16)
        for picture in self.pictures:
            text = f"{picture.part}\0{picture.class_name}\0{picture.digest}\0"
            digest.update(text.encode(errors="surrogateescape"))
        return digest.hexdigest()


# The folder that was looked at last, with what its files were then: a configuration asks for
# several things of it.
_last: tuple[list[Any], PictureFolder] | None = None


def look_at_folder(root: Path) -> PictureFolder:
    """Finds a folder's pictures and classes, and reads the pictures' bytes and headers.

    Raises:
        UserError: There is no such folder, or it is not laid out as a data set.
    """
    global _last
    if not root.exists():
        raise UserError(f"dataset.root={root}: there is no such folder ({root.absolute()})")
    if not root.is_dir():
        raise UserError(f"dataset.root={root} is a file, and is to be a folder: {LAYOUT}")
    skipped = Skipped()
    try:
        found = list(find_pictures([root], skipped=skipped))
    except UserError as error:
        raise UserError(f"dataset.root: {error}; {LAYOUT}") from error
    state = [root.absolute(), str(skipped), *map(_state, found)]
    if _last is None or _last[0] != state:
        _last = state, _look_at_all(root, found, str(skipped))
    return _last[1]


def _state(found: Found) -> tuple[Found, int, int]:
    try:
        status = os.stat(found.path)
    except OSError:
        return found, -1, -1
    return found, status.st_size, status.st_mtime_ns


def _look_at_all(root: Path, found: Sequence[Found], skipped: str) -> PictureFolder:
    parts = _parts(root, found)
    placed: list[tuple[Path, str | None, str]] = []
    left_out = []
    for one in found:
        folders = one.path.relative_to(root).parts[:-1]
        part = parts.get(folders[0]) if parts and folders else None
        inner = folders[1:] if part else folders
        if one.problem:
            left_out.append(one)
        elif parts and not part:
            left_out.append(Found(one.path, BESIDE_PARTS))
        elif not inner:
            left_out.append(Found(one.path, BESIDE_CLASSES))
        else:
            placed.append((one.path, part, inner[0]))
    if not placed:
        raise UserError(
            f"dataset.root={root}: none of its {len(left_out):,} pictures is one of a class, such "
            f"as {left_out[0].path}: {left_out[0].problem}; {LAYOUT}"
        )
    class_names = _classes(root, placed)
    pool = ThreadPoolExecutor()  # reading and hashing do not hold the interpreter's lock
    try:
        looked = pool.map(_look_at, *zip(*placed, strict=True))
        pictures = sorted(looked, key=lambda one: (one.part or "", one.class_name, one.digest))
    finally:
        pool.shutdown(cancel_futures=True)
    return PictureFolder(root, tuple(pictures), class_names, tuple(left_out), skipped)


def _parts(root: Path, found: Sequence[Found]) -> dict[str, str]:
    """The part that each of the uppermost folders is, empty where the folder is not divided."""
    paths = [one.path.relative_to(root).parts for one in found]
    uppermost = {names[0] for names in paths}
    parts = {
        name: SPELLINGS[name.lower()]
        for name in sorted(uppermost)
        if name.lower() in SPELLINGS and (root / name).is_dir()
    }
    others = sorted({names[0] for names in paths if len(names) > 1} - parts.keys())
    if parts and others:
        raise UserError(_ambiguous(root, list(parts), others))
    for part, number in Counter(parts.values()).items():
        if number > 1:
            names = " and ".join(name for name in parts if parts[name] == part)
            raise UserError(f"dataset.root={root} has {names}: keep one of them for {part}")
    if TRAIN in parts.values():
        return parts
    if parts and all(name in parts for name in uppermost):
        raise UserError(f"dataset.root={root} has {', '.join(parts)} and no folder train")
    return {}


def _ambiguous(root: Path, parts: Sequence[str], others: Sequence[str]) -> str:
    """What to say of folders of which some have the names of parts: they may be classes as well."""
    named = ", ".join(others[:NUM_NAMED]) + (", …" if len(others) > NUM_NAMED else "")
    return (
        f"dataset.root={root} has {', '.join(parts)} beside {visible(named)}, and may be divided "
        f"into parts or have classes of such names: if they are classes, move them all into a "
        f"folder {TRAIN} ({root}/{TRAIN}/{parts[0]}); if they are parts, leave none but "
        f"{', '.join(PARTS)} there"
    )


def _classes(root: Path, placed: Sequence[tuple[Path, str | None, str]]) -> tuple[str, ...]:
    names = sorted({name for _, part, name in placed if part in (None, TRAIN)})
    if len(names) == 1:
        raise UserError(
            f"dataset.root={root} has one class alone, {names[0]}, and two are the least; if the "
            f"classes are folders below it, give dataset.root={root / names[0]}"
        )
    for path, part, name in placed:
        if name not in names:
            raise UserError(
                f"{path} is of the class {name}, which {part} has and train does not: add it to "
                f"train, or take it out of {part}"
            )
    return tuple(names)


def _look_at(path: Path, part: str | None, class_name: str) -> Picture:
    try:
        digest = digest_of(path)
    except OSError:  # which is said where it is decoded
        digest = ""
    return Picture(path, part, class_name, digest, look(path))


def digest_of(path: Path) -> str:
    """BLAKE2b of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
