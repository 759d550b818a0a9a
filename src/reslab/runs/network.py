"""A configuration's network."""

import torch
from omegaconf import DictConfig
from torch import nn

from reslab.analysis.summary import Layer, list_layers
from reslab.config import instantiate
from reslab.errors import UserError


def build_network(cfg: DictConfig) -> nn.Module:
    """What `model` describes, its weights drawn at random, channels last.

    Raises:
        UserError: It names what may not be built, or what is no network.
    """
    network = instantiate(cfg, "model")
    if not isinstance(network, nn.Module):
        raise UserError(f"model is a {type(network).__name__}, no network")
    return network.to(memory_format=torch.channels_last)


def try_network(cfg: DictConfig, network: nn.Module) -> list[Layer]:
    """The network's layers for one of the data set's images.

    Raises:
        UserError: It does not take such images, or does not tell as many classes apart.
    """
    shape = cfg.dataset.channels, cfg.dataset.size, cfg.dataset.size
    text = "x".join(map(str, shape))
    try:
        layers = list_layers(network, shape)
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise UserError(
            f"model does not take images of {text}: {line}; try dataset.size"
        ) from error
    output = layers[-1].output if layers else ()
    if output != (cfg.dataset.num_classes,):
        raise UserError(
            f"model gives {output} for an image, not one logit for each of the "
            f"{cfg.dataset.num_classes} classes"
        )
    return layers
