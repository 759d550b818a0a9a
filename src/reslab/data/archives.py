"""Archives looked through before they are unpacked, and before what they held is used."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from reslab.errors import UserError

# What reading an archive raises that is damaged or made to do harm, besides OSError and EOFError.
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError)


def refuse_what_leads_out(paths: Iterable[Path]) -> None:
    """Refuses archives that hold links, or a file that is to lie outside of where they lie.

    Raises:
        UserError: There is one; it names the first such member.
    """
    for path in sorted(path for path in paths if path.is_file()):
        if fault := what_leads_out(path):
            raise UserError(
                f"{path.name} is not unpacked, for {fault}: put the official archive in its place"
            )


def what_leads_out(path: Path) -> str:
    """Of an archive the first link, or file that is to lie outside, and that; empty without one."""
    for name, is_plain in _members(path):
        if not is_plain or _leads_out(name):
            return f"{name} in it {'leads out of it' if is_plain else 'is a link or a device'}"
    return ""


def _members(path: Path) -> Iterator[tuple[str, bool]]:
    """Names in an archive, and whether each is a file or a folder; none of what is no archive."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for one in archive.infolist():
                yield one.filename, one.external_attr >> 28 in (0, 0o4, 0o10)
    if tarfile.is_tarfile(path):  # too: what is asked for by its name may be both
        with tarfile.open(path) as archive:
            for member in archive:
                yield member.name, member.isfile() or member.isdir()


def _leads_out(name: str) -> bool:
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    return ".." in parts or name.startswith(("/", "\\")) or bool(PureWindowsPath(name).drive)
