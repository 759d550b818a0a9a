"""A configuration's network."""

from omegaconf import DictConfig
from torch import nn

from reslab.config import instantiate
from reslab.errors import UserError
from reslab.machine import lay_out


def build_network(cfg: DictConfig) -> nn.Module:
    """What `model` describes, its weights drawn at random, channels last.

    Raises:
        UserError: It names what may not be built, or what is no network.
    """
    network = instantiate(cfg, "model")
    if not isinstance(network, nn.Module):
        raise UserError(f"model is a {type(network).__name__}, no network")
    return lay_out(network)
