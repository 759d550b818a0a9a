"""A finished run as a classifier to use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms

from reslab.config import instantiate
from reslab.data.loader import Normalization
from reslab.errors import UserError
from reslab.runs import checkpoint as files
from reslab.runs.store import find_run


@dataclass(frozen=True)
class TrainedClassifier:
    """A run's best network, in evaluation mode, with all that belongs to it.

    Attributes:
        network: Normalized images to logits.
        normalization: Pixels on the 0-1 scale to normalized images.
        size: Height and width in pixels that the network was trained on.
        class_names: Name of each class.
        record: The run's record, None if it is not finished.
    """

    network: nn.Module
    normalization: Normalization
    size: int
    class_names: tuple[str, ...]
    record: dict[str, Any] | None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits `[B, K]` of uint8 images `[B, C, H, W]`, resized where their size differs."""
        if images.shape[-2:] != (self.size, self.size):
            images = transforms.resize(images, [self.size, self.size], antialias=True)
        return self.network(self.normalization(images.float() / 255))


def load(run: str | Path, runs_dir: str | Path = "outputs/runs") -> TrainedClassifier:
    """Loads a run by its directory, its name, or a unique part of its name.

    Raises:
        UserError: There is no such run, or it has no checkpoint yet.
    """
    directory = find_run(str(run), Path(runs_dir))
    if not directory.best.exists():
        raise UserError(f"{directory.path} has no best checkpoint yet")
    cfg, saved = directory.config(), files.load(directory.best)
    network = instantiate(cfg, "model").to(memory_format=torch.channels_last)
    network.load_state_dict(saved["state_dict"])
    about = saved["reslab"]
    return TrainedClassifier(
        network.eval(),
        Normalization(about["mean"], about["std"]),
        cfg.dataset.size,
        tuple(about["class_names"]),
        directory.record(),
    )
