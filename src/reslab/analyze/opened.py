"""What every analysis needs of a run's network."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from reslab.classifier import Classifier
from reslab.errors import UserError
from reslab.predicting.engine import Engine
from reslab.runs import checkpoint as files
from reslab.runs.analyses import Analysis
from reslab.runs.store import RunDirectory

NETWORKS_KNOWN = 256


@dataclass(frozen=True)
class Opened:
    """A run that is analyzed.

    Attributes:
        engine: What computes on the device.
        network: The network as it was trained.
        directory: The run.
        kept: What is kept of the analysis, under what is asked and the weights: of another
            training's another thing is found.
    """

    engine: Engine
    network: nn.Module
    directory: RunDirectory
    kept: Analysis


def opened(classifier: Classifier, kind: str, settings: Any) -> Opened:
    """Opens a run's network, on the device that is to compute, for a kind of analysis."""
    engine, network, directory = classifier.logits, classifier.network, classifier.directory
    assert isinstance(engine, Engine)
    assert network is not None
    assert directory is not None
    asked = asdict(settings) | {"weights": _digest(network.state_dict()), "bf16": engine.bf16}
    return Opened(engine, network, directory, Analysis(directory, kind, asked))


def best_digest(run: RunDirectory) -> str:
    """Of the weights of a run's best network, which is read and not built.

    Raises:
        UserError: It has no checkpoint that can be read.
    """
    try:
        status = run.best.stat()
        return _digest_in(run.best, status.st_mtime_ns, status.st_size)
    except Exception as error:  # whatever stands in a foreign or damaged file
        raise UserError(f"{run.best} cannot be read, so nothing found of it is shown") from error


@lru_cache(NETWORKS_KNOWN)
def _digest_in(path: Path, written: int, size: int) -> str:
    return _digest(files.load(path)["state_dict"])


def _digest(weights: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
