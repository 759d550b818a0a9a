"""What every analysis needs of a run's network."""

import hashlib

from torch import nn

from reslab.classifier import Classifier
from reslab.predicting.engine import Engine


def opened(classifier: Classifier) -> tuple[Engine, nn.Module]:
    """What computes on the device, and the network as it was trained."""
    engine, network = classifier.logits, classifier.network
    assert isinstance(engine, Engine)
    assert network is not None
    return engine, network


def weights_digest(network: nn.Module) -> str:
    """Of its weights: of another training's another thing is found."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
