"""Has layers that whiten learn, before the first step."""

from typing import Any

from lightning.pytorch import Callback

from reslab.nn import yet_to_learn
from reslab.preprocess import scaled

LEARN_OF = 5000  # training images, the first ones, without augmentation


class LearnWhitening(Callback):
    """Has each layer of a network that whitens, and has not learned yet, learn of training images.

    What a checkpoint brings has learned.
    """

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        data = trainer.datamodule
        for layer in yet_to_learn(pl_module.network):
            layer.learn(data.normalization(scaled(data.train_images[:LEARN_OF])))
