"""The code that runs as a wheel, made from where it lies: of the same code the same bytes."""

import base64
import csv
import hashlib
import io
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from reslab.capsule.archive import pack
from reslab.config import CONF_DIR
from reslab.errors import UserError

PACKAGE = Path(__file__).parents[1]
PLUGINS = PACKAGE.with_name("hydra_plugins")  # where others' may lie too
# In a wheel it is inside the package, in the repository beside it.
CONSTRAINTS = next(
    (
        path
        for path in (PACKAGE / "constraints.txt", PACKAGE.parents[1] / "constraints.txt")
        if path.is_file()
    ),
    None,
)
WHEEL = "Wheel-Version: 1.0\nGenerator: reslab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def installed() -> Distribution:
    """What is known of reslab where it is installed.

    Raises:
        UserError: It is not installed.
    """
    try:
        return distribution("reslab")
    except PackageNotFoundError as error:
        raise UserError("reslab is not installed, and so has no name for its wheel") from error


def pack_wheel() -> tuple[str, bytes]:
    """The wheel's name and content: code, configurations, constraints and license.

    It is not compressed, so that no version of a library for that changes it.

    Raises:
        UserError: reslab is not installed, or was without its constraints.
    """
    found = installed()
    stem = f"reslab-{found.version}"
    about = f"{stem}.dist-info"
    files = {
        **_below(PACKAGE, "reslab"),
        **_below(CONF_DIR, "reslab/conf"),
        **{f"hydra_plugins/{one.name}": one.read_bytes() for one in PLUGINS.glob("reslab_*.py")},
        "reslab/constraints.txt": constraints(),
        f"{about}/WHEEL": WHEEL.encode(),
    }
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        files[f"{about}/{name}"] = _said(found, name).encode()
    files[f"{about}/RECORD"] = _record(files, f"{about}/RECORD")
    return f"{stem}-py3-none-any.whl", pack(files, zipfile.ZIP_STORED)


def constraints() -> bytes:
    """One version of each package, and the digests of its files.

    Raises:
        UserError: The installed package was made without them.
    """
    if CONSTRAINTS is None:
        raise UserError("reslab was installed without its constraints.txt: install its wheel anew")
    return CONSTRAINTS.read_bytes()


def license_text() -> str:
    """The text of reslab's license.

    Raises:
        UserError: It is not installed.
    """
    return _said(installed(), "licenses/LICENSE")


def _said(found: Distribution, name: str) -> str:
    text = found.read_text(name)
    if text is None:
        raise UserError(f"reslab's installation lacks {name}: install it anew")
    return text


def _below(folder: Path, name: str) -> dict[str, bytes]:
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and not any(
            part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts
        )
    }


def _record(files: dict[str, bytes], name: str) -> bytes:
    """A wheel's list of its files, with their digests and sizes."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for path in sorted(files):
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[path]).digest()).rstrip(b"=")
        rows.writerow((path, f"sha256={digest.decode()}", len(files[path])))
    rows.writerow((name, "", ""))
    return text.getvalue().encode()
