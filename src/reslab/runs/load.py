"""A run's network, best or latest, from its folder or from its checkpoint alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from reslab.config import instantiate
from reslab.errors import UserError
from reslab.runs import checkpoint as files
from reslab.runs.description import Description
from reslab.runs.network import build_network
from reslab.runs.store import RunDirectory

# Before the names of weights in what a run is resumed from, of what it evaluates the first that
# there is, see `ImageClassifier.evaluated`.
EVALUATED = ("averaged.", "slow.", "network.")


def load_best(directory: RunDirectory) -> tuple[Description, nn.Module]:
    """A run's best network in evaluation mode, and its description.

    Raises:
        UserError: It has no checkpoint yet, or one that is foreign or damaged.
    """
    if not directory.best.exists():
        raise UserError(f"{directory.path} has no best checkpoint yet")
    return _network_of(directory, _read(directory.best), directory.best)


def load_latest(directory: RunDirectory) -> tuple[Description, nn.Module]:
    """The same of its latest checkpoint, from which a run is resumed.

    Raises:
        UserError: It has none yet, or one that is foreign or damaged.
    """
    found = directory.latest.load()
    if found is None:
        raise UserError(f"{directory.path} has no latest checkpoint yet")
    path, saved, _ = found
    _require_ours(saved, path)
    weights: dict[str, Any] = {}
    for prefix in EVALUATED:
        weights = weights or {
            name.removeprefix(prefix): weight
            for name, weight in saved["state_dict"].items()
            if name.startswith(prefix)
        }
    return _network_of(directory, saved | {"state_dict": weights}, path)


def load_checkpoint(path: Path) -> tuple[Description, nn.Module]:
    """The same from a file `best.ckpt` alone, wherever it lies.

    Raises:
        UserError: The file is foreign, damaged, of an older version, or no run's best.
    """
    saved = _read(path)
    if "optimizer_states" in saved:
        raise UserError(f"{path} is what a run is resumed from: give its best.ckpt")
    if "description" not in saved["reslab"]:
        raise UserError(
            f"{path} is of an older version, which did not say in it what its network is: give the "
            f"run's folder"
        )
    description = _description_in(saved, path)
    return description, _network_in(saved, description, path)


def network_of(description: Description) -> nn.Module:
    """The network as it is built, its weights drawn at random.

    Raises:
        UserError: It names what may not be built, or what is no network.
    """
    return build_network(OmegaConf.create({"model": description.model}))


def _network_of(
    directory: RunDirectory, saved: dict[str, Any], path: Path
) -> tuple[Description, nn.Module]:
    if "description" in saved["reslab"]:
        description = _description_in(saved, path)
    else:
        description = _describe_older(directory, saved["reslab"])
    description = replace(description, name=directory.name, record=directory.record())
    return description, _network_in(saved, description, path)


def _read(path: Path) -> dict[str, Any]:
    try:
        saved = files.load(path)
    except files.TruncatedCheckpointError as error:
        raise UserError(f"{error}, or was not written by reslab") from error
    _require_ours(saved, path)
    return saved


def _require_ours(saved: dict[str, Any], path: Path) -> None:
    has_names = isinstance(weights := saved.get("state_dict"), dict) and all(
        isinstance(name, str) for name in weights
    )
    if not has_names or not isinstance(saved.get("reslab"), dict):
        raise UserError(f"{path} was not written by reslab")


def _description_in(saved: dict[str, Any], path: Path) -> Description:
    try:
        return Description.from_json(saved["reslab"]["description"])
    except ValueError as error:
        raise UserError(f"{path} does not describe its network: {error}") from error


def _network_in(saved: dict[str, Any], description: Description, path: Path) -> nn.Module:
    """The network with the weights that were saved, tried on one image."""
    try:
        network = network_of(description)
        network.load_state_dict(saved["state_dict"])
        network.eval()
        shape = description.channels, description.size, description.size
        with torch.inference_mode():
            given = network(torch.zeros(1, *shape)).shape
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # whatever a network raises that meets what it is not made for
        line = str(error).strip().partition("\n")[0]
        raise UserError(f"{path}: its weights are no such network's as it says: {line}") from error
    if given != (1, len(description.class_names)):
        raise UserError(f"{path}: its network does not tell {len(description.class_names)} classes")
    return network


def _describe_older(directory: RunDirectory, about: dict[str, Any]) -> Description:
    """What a run's configuration says, whose checkpoint is of a version that did not say it."""
    cfg = directory.config()
    try:
        model: Any = OmegaConf.to_container(cfg.model)
        dataset: Any = OmegaConf.to_container(cfg.dataset)
        return Description(
            name=directory.name,
            dataset=cfg.dataset.name,
            class_names=tuple(about["class_names"]),
            channels=cfg.dataset.channels,
            size=cfg.dataset.size,
            mean=tuple(about["mean"]),
            std=tuple(about["std"]),
            mirrored=instantiate(cfg.dataset, "augment").mirrors,
            model=model,
            record=None,
            data=dataset,
        )
    except UserError:
        raise
    except Exception as error:  # whatever stands in a foreign or damaged file
        line = str(error).strip().partition("\n")[0]
        text = f"{directory.path} does not say what its network is: {line}"
        raise UserError(text) from error
