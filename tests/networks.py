"""Networks for tests, as the configuration builds them."""

from reslab.config import compose, instantiate


def network(*overrides, channels=3, num_classes=10):
    """What a configuration builds for images of so many channels."""
    data = [f"dataset.channels={channels}", f"dataset.num_classes={num_classes}"]
    return instantiate(compose([*overrides, *data]), "model")
