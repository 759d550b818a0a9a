"""What every analysis needs of a run's network."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from reslab.classifier import Classifier
from reslab.errors import UserError
from reslab.predicting.engine import Engine
from reslab.runs import checkpoint as files
from reslab.runs.store import RunDirectory

NETWORKS_KNOWN = 256


def opened(classifier: Classifier) -> tuple[Engine, nn.Module]:
    """What computes on the device, and the network as it was trained."""
    engine, network = classifier.logits, classifier.network
    assert isinstance(engine, Engine)
    assert network is not None
    return engine, network


def weights_digest(network: nn.Module) -> str:
    """Of its weights: of another training's another thing is found."""
    return _digest(network.state_dict())


def best_digest(run: RunDirectory) -> str:
    """The same of a run's best network, which is read and not built.

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
