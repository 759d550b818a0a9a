"""Has layers that whiten learn, before the first step."""

from collections.abc import Iterator
from typing import Any

from lightning.pytorch import Callback
from torch import Tensor

from reslab.nn import yet_to_learn
from reslab.preprocess import scaled

LEARN_OF = 2000  # training images, spread over all, without augmentation
PIXELS_AT_ONCE = 2**19  # of all that are normalized at once


class LearnWhitening(Callback):
    """Has each layer of a network that whitens, and has not learned yet, learn of training images.

    What a checkpoint brings has learned.
    """

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        for layer in yet_to_learn(pl_module.network):
            layer.learn(_normalized(trainer.datamodule))


def _normalized(data: Any) -> Iterator[Tensor]:
    """Batches of images as the network gets them, on the device that normalizes."""
    images = data.train_images[:: max(1, len(data.train_images) // LEARN_OF)][:LEARN_OF]
    device = data.normalization.mean.device
    for some in images.split(max(1, PIXELS_AT_ONCE // images[0, 0].numel())):
        yield data.normalization(scaled(some.to(device)))
