"""What lies where in a capsule, and what it says of itself."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Self

import torch

from reslab.content import build, parse
from reslab.errors import UserError
from reslab.machine import describe_hardware
from reslab.tables.make import LIBRARIES

ABOUT = "capsule.json"
README = "README.md"
METADATA = "ro-crate-metadata.json"
CONSTRAINTS = "constraints.txt"
LICENSE = "LICENSE"
RECORDS = PurePosixPath("outputs/reference")  # where the repository has them, and commands look
CONF = PurePosixPath("conf")  # the user's own; reslab's is in the wheel


@dataclass(frozen=True)
class About:
    """What a capsule is of, and what its table was rendered with.

    Attributes:
        table: The table's name.
        overrides: Hydra's, for every cell.
        quick: Whether at the small scale that the table's file names.
        code_digest: Of the sources in the capsule, as records have it.
        versions: Of Python and of what composes, computes and draws.
        processor: With its cores and its widest instructions.
    """

    table: str
    overrides: tuple[str, ...]
    quick: bool
    code_digest: str
    versions: dict[str, str]
    processor: str

    @classmethod
    def here(cls, table: str, overrides: Sequence[str], quick: bool, code_digest: str) -> Self:
        """With the versions of this environment and this machine's processor."""
        versions = {"python": platform.python_version()}
        versions |= {library: version(library) for library in LIBRARIES}
        processor = describe_hardware(torch.device("cpu"))
        processor += f", {torch.backends.cpu.get_cpu_capability()}"
        return cls(table, tuple(overrides), quick, code_digest, versions, processor)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What a file says.

        Raises:
            UserError: It says something else.
        """
        try:
            about: Self = build(cls, parse(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged or foreign: {error}") from error
        return about

    @property
    def text(self) -> str:
        """What a file has of it."""
        return json.dumps(asdict(self), indent=2) + "\n"


def named_within(root: Path, text: str) -> str:
    """Files by their names in a capsule, not where that is unpacked for a moment."""
    return text.replace(f"{root}/", "")
