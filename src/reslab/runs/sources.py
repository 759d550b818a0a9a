"""Which code a result depends on."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from reslab.config import own_sources
from reslab.runs.syntax import syntax_digest

# Networks, batches and updates; what chooses the last epoch and the best; how kernels compute.
SOURCES_THAT_MATTER = (
    "nn",
    "data/augment.py",
    "data/loader.py",
    "data/module.py",
    "preprocess.py",
    "ranks.py",
    "average.py",
    "loss.py",
    "monitor.py",
    "optim.py",
    "task.py",
    "lightning_bypass.py",
    "callbacks/limit.py",
    "callbacks/whitening.py",
    "machine/kernels.py",
    "runs/beginning.py",
    "runs/best.py",
    "runs/devices.py",
    "runs/extend.py",
    "runs/network.py",
    "runs/trainer.py",
)


def code_digest() -> str:
    """SHA-256 over what those files do, and a user's trusted ones, see `syntax_digest`.

    Whatever they are called: which of them a run is built from stands in its configuration.
    """
    return digest_of(Path(__file__).parents[1], own_sources())


def digest_of(package: Path, own: Sequence[Path] = ()) -> str:
    """The same of a copy of the package, wherever it lies, and of other sources."""
    paths = [*(package / name for name in SOURCES_THAT_MATTER), *own]
    files = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
    digests = sorted(syntax_digest(file.read_bytes()) for file in files)
    return hashlib.sha256("".join(digests).encode()).hexdigest()
