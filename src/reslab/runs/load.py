"""A run's best network, and the data set that it was trained on."""

from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from reslab.config import instantiate
from reslab.errors import UserError
from reslab.runs import checkpoint as files
from reslab.runs.description import Description
from reslab.runs.store import RunDirectory

MIRRORING = "reslab.data.HorizontalFlip"


def load_best(directory: RunDirectory) -> tuple[Description, nn.Module]:
    """A run's best network in evaluation mode, and its description.

    Raises:
        UserError: It has no checkpoint yet.
    """
    if not directory.best.exists():
        raise UserError(f"{directory.path} has no best checkpoint yet")
    saved = files.load(directory.best)
    description = _describe(directory, saved["reslab"])
    network = build_network(description)
    network.load_state_dict(saved["state_dict"])
    return description, network.eval()


def build_network(description: Description) -> nn.Module:
    """The network as it is built, its weights drawn at random."""
    cfg = OmegaConf.create({"model": description.model})
    return instantiate(cfg, "model").to(memory_format=torch.channels_last)


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
