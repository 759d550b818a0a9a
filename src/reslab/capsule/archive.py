"""Zips: written the same whenever they are written, and unpacked though a stranger wrote them."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from reslab.data.archives import DAMAGE, what_leads_out
from reslab.errors import UserError

MOST_FILES = 20_000
MOST_BYTES = 1 << 30  # of all files together: no table has nearly as much
MOST_TEXT = 1 << 24  # of a file that is read as text
TEXTS = (".json", ".yaml", ".csv", ".md", ".tex", ".txt")

DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can have
UNIX, PLAIN_FILE, ENCRYPTED = 3, 0o100644, 1


def pack(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files by their names: of the same ones the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            one = zipfile.ZipInfo(name, DATE)
            one.create_system, one.external_attr = UNIX, PLAIN_FILE << 16
            archive.writestr(one, files[name], compression)
    return buffer.getvalue()


def unpack(path: Path, folder: Path) -> dict[str, str]:
    """Unpacks a zip into an empty folder, once nothing in it is found to do harm.

    Returns:
        SHA-256 of each file, by its name.

    Raises:
        UserError: It is no zip, damaged, holds links or names twice, leads out of the folder, or
            is larger than any is that was meant well; nothing is written outside of the folder.
    """
    digests = {}
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_what_harms(path, archive)
            for one in archive.infolist():
                if not one.is_dir():
                    content = archive.read(one)
                    target = folder / one.filename
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if one.filename.endswith(".yaml"):
                        refuse_references(path, one.filename, content)
                    target.write_bytes(content)
                    digests[one.filename] = hashlib.sha256(content).hexdigest()
    except (*DAMAGE, OSError, EOFError, ValueError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{path} is no zip, or a damaged one: {said}") from error
    return digests


def refuse_references(path: Path, name: str, content: bytes) -> None:
    """Refuses YAML that refers to itself, of which a few lines can stand for billions.

    Raises:
        UserError: It does, or is no YAML.
    """
    try:
        refers = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not unpacked, for {name} is no YAML") from error
    if refers:
        raise UserError(f"{path} is not unpacked, for {name} has references (*)")


def refuse_too_much(paths: Iterable[Path]) -> None:
    """Refuses zips within a capsule, such as logits are, that unpack to more than any capsule does.

    Raises:
        UserError: It names the one with which it is too much.
    """
    size = 0
    for path in paths:
        if zipfile.is_zipfile(path):  # what is none says so where it is read
            with zipfile.ZipFile(path) as archive:
                size += sum(one.file_size for one in archive.infolist())
        if size > MOST_BYTES:
            raise UserError(f"{path} is not read, for it and others unpack to too much")


def refuse_what_harms(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuses a zip that is not to be unpacked.

    Raises:
        UserError: It says why.
    """
    members = archive.infolist()
    names = [one.filename for one in members]
    if fault := what_leads_out(path):
        raise UserError(f"{path} is not unpacked, for {fault}")
    known: set[str] = set()
    for name in names:
        if name.casefold() in known:
            raise UserError(f"{path} is not unpacked, for {name} is in it twice")
        known.add(name.casefold())
    if any(one.flag_bits & ENCRYPTED for one in members):
        raise UserError(f"{path} is not unpacked, for it is encrypted")
    for one in members:
        if one.filename.endswith(TEXTS) and one.file_size > MOST_TEXT:
            raise UserError(f"{path} is not unpacked, for {one.filename} is too large a text")
    if len(names) > MOST_FILES or sum(one.file_size for one in members) > MOST_BYTES:
        most = f"{MOST_FILES:,} files or {MOST_BYTES >> 20:,} MiB"
        raise UserError(f"{path} is not unpacked, for it holds more than {most}")
