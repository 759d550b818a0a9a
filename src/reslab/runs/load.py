"""A finished run as a classifier to use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from reslab.config import instantiate
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.preprocess import Normalization, Preprocessing
from reslab.runs import checkpoint as files
from reslab.runs.build import prepare_data
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory, find_run

MIRRORING = "reslab.data.HorizontalFlip"


@dataclass(frozen=True)
class Description:
    """What belongs to a network besides its weights, as plain values.

    Attributes:
        name: The run's name.
        dataset: The data set's name.
        class_names: Name of each class.
        channels: Channels of the images.
        size: Height and width in pixels that the network was trained on.
        mean: What is subtracted from pixels on the 0-1 scale, one a channel.
        std: What they are divided by, one a channel.
        mirrored: Whether it was trained on mirrored images too.
        model: How the network is built.
        record: The run's record, None if it is not finished.
    """

    name: str
    dataset: str
    class_names: tuple[str, ...]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrored: bool
    model: dict[str, Any]
    record: Record | None

    @property
    def preprocessing(self) -> Preprocessing:
        """uint8 pixels to network input."""
        return Preprocessing(self.size, Normalization(self.mean, self.std))


@dataclass(frozen=True)
class TrainedClassifier:
    """A run's best network, in evaluation mode, with all that belongs to it.

    Attributes:
        network: Normalized images to logits.
        description: How pictures become such images, and what the logits mean.
        directory: The run's files.
    """

    network: nn.Module
    description: Description
    directory: RunDirectory

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.description.class_names

    @property
    def record(self) -> Record | None:
        """The run's record, None if it is not finished."""
        return self.description.record

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Logits `[B, K]` of uint8 images `[B, C, H, W]`, resized where their size differs."""
        return self.network(self.description.preprocessing(images))


def load(run: str | Path, runs_dir: str | Path = "outputs/runs") -> TrainedClassifier:
    """Loads a run by its directory, its name, or a unique part of its name.

    Raises:
        UserError: There is no such run, or it has no checkpoint yet.
    """
    directory = find_run(str(run), Path(runs_dir))
    if not directory.best.exists():
        raise UserError(f"{directory.path} has no best checkpoint yet")
    saved = files.load(directory.best)
    description = _describe(directory, saved["reslab"])
    network = build_network(description)
    network.load_state_dict(saved["state_dict"])
    return TrainedClassifier(network.eval(), description, directory)


def build_network(description: Description) -> nn.Module:
    """The network as it is built, its weights drawn at random."""
    cfg = OmegaConf.create({"model": description.model})
    return instantiate(cfg, "model").to(memory_format=torch.channels_last)


def data_of(classifier: TrainedClassifier, data_dir: str | None = None) -> ImageData:
    """The run's data set, ready, with the test set as the network saw it.

    Args:
        classifier: The run.
        data_dir: Where the data sets lie; where the run found them by default.

    Raises:
        UserError: The files are missing, or not the official ones.
    """
    cfg = classifier.directory.config()
    if data_dir is not None:
        cfg.dataset.data_dir = data_dir
    data = instantiate(cfg, "dataset")
    prepare_data(data)
    return data


def _describe(directory: RunDirectory, about: dict[str, Any]) -> Description:
    cfg = directory.config()
    steps: Any = OmegaConf.to_container(cfg.dataset.augment)
    targets = [step.get("_target_") for step in steps.values() if isinstance(step, dict)]
    model: Any = OmegaConf.to_container(cfg.model)
    return Description(
        name=directory.name,
        dataset=cfg.dataset.name,
        class_names=tuple(about["class_names"]),
        channels=cfg.dataset.channels,
        size=cfg.dataset.size,
        mean=tuple(about["mean"]),
        std=tuple(about["std"]),
        mirrored=MIRRORING in targets,
        model=model,
        record=directory.record(),
    )
