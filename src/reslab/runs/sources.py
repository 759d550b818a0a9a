"""Which code a result depends on."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from reslab.config import own_sources
from reslab.runs.syntax import syntax_digest

# Networks, data and updates; what chooses the last epoch and the best; how kernels compute.
SOURCES_THAT_MATTER = (
    "nn",
    "data",
    "preprocess.py",
    "ranks.py",
    "loss.py",
    "monitor.py",
    "optim.py",
    "task.py",
    "lightning_bypass.py",
    "callbacks/limit.py",
    "machine/kernels.py",
    "runs/beginning.py",
    "runs/best.py",
    "runs/devices.py",
    "runs/extend.py",
    "runs/network.py",
    "runs/trainer.py",
)


def code_digest() -> str:
    """SHA-256 over what those files say, and a user's trusted ones, comments and layout aside."""
    return digest_of(Path(__file__).parents[1], own_sources())


def digest_of(package: Path, own: Sequence[Path] = ()) -> str:
    """The same of a copy of the package, wherever it lies, and of other sources."""
    digest = hashlib.sha256()
    for path, root in (
        *((package / name, package) for name in SOURCES_THAT_MATTER),
        *((path, path.parent) for path in own),
    ):
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            name = file.relative_to(root)
            digest.update(f"{name}\0{syntax_digest(file.read_bytes())}".encode())
    return digest.hexdigest()
