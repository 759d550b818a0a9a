"""The sources in a capsule: read, and never imported."""

from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from reslab.capsule.archive import unpack
from reslab.capsule.layout import ABOUT, CONSTRAINTS, LICENSE, About
from reslab.capsule.wheel import pack_wheel
from reslab.errors import UserError
from reslab.runs.sources import digest_of


@dataclass(frozen=True)
class Sources:
    """The wheel of a capsule.

    Attributes:
        wheel: Its name.
        are_these: Whether they are, to the byte, those that run here.
        faults: What is wrong with them, a line each.
    """

    wheel: str
    are_these: bool
    faults: tuple[str, ...]


def read_sources(root: Path, folder: Path, about: About) -> Sources:
    """Reads the wheel of an unpacked capsule.

    Args:
        root: The capsule's folder.
        folder: Where the wheel is unpacked to.
        about: What the capsule says of itself.

    Raises:
        UserError: There is none, more than one, or it is not to be unpacked.
    """
    wheels = sorted(root.glob("*.whl"))
    if len(wheels) != 1:
        raise UserError(f"it has {len(wheels)} wheels, and must have the one with its sources")
    (wheel,) = wheels
    folder.mkdir()
    unpack(wheel, folder)
    faults = []
    try:
        digest = digest_of(folder / "reslab")
    except OSError as error:
        raise UserError(f"{wheel.name} lacks {Path(error.filename).relative_to(folder)}") from error
    if digest != about.code_digest:
        faults.append(f"{wheel.name} has other sources than those whose digest {ABOUT} has")
    (license_file, *_) = [*folder.glob("*.dist-info/licenses/LICENSE"), folder / LICENSE]
    for name, inside in ((CONSTRAINTS, folder / "reslab" / CONSTRAINTS), (LICENSE, license_file)):
        outside = root / name
        if outside.is_file() and not (inside.is_file() and cmp(outside, inside, shallow=False)):
            faults.append(f"{name} is not the one in {wheel.name}")
    return Sources(wheel.name, pack_wheel() == (wheel.name, wheel.read_bytes()), tuple(faults))
