"""Where in an image a network finds a class: Grad-CAM.

Selvaraju et al. 2017, Visual Explanations from Deep Networks via Gradient-based Localization,
https://arxiv.org/abs/1610.02391.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from reslab.errors import UserError


def last_maps(network: nn.Module, images: Tensor) -> nn.Module:
    """The module from which maps `[B, C, h, w]` of more than one place come last.

    Args:
        network: Network input to logits.
        images: Network input `[B, C, H, W]`; one image is enough.

    Raises:
        UserError: No module has such an output.
    """
    met: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            met.append(module)

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not met:
        raise UserError("Grad-CAM needs a layer that puts out maps, and this network has none")
    return met[-1]


def grad_cam(network: nn.Module, layer: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    """How much each place of an image speaks for a class: float `[B, H, W]` from 0 to 1.

    A layer's maps are summed, each weighted by the mean of the logit's gradient over it; what is
    negative is set to 0, and the largest of an image to 1, if it is not 0. Of a layer that is met
    several times the last maps count. Nothing before it is differentiated.

    Args:
        network: Network input to logits.
        layer: One of its modules, see `last_maps`.
        images: Network input `[B, C, H, W]`.
        classes: Of each image the class that is asked for, `[B]`.
    """
    maps: list[Tensor] = []

    def begin_here(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        torch.set_grad_enabled(True)
        maps.append(output.detach().requires_grad_())
        return maps[-1].clone()  # which the rest may change in place

    hook = layer.register_forward_hook(begin_here)
    try:
        with torch.no_grad():
            logits = network(images)
            asked = logits.gather(1, classes[:, None].to(logits.device)).sum()
            (gradients,) = torch.autograd.grad(asked, maps[-1:])
    finally:
        hook.remove()
    weights = gradients.float().mean((2, 3), keepdim=True)
    heat = (weights * maps[-1].detach().float()).sum(1, keepdim=True).relu()
    heat = F.interpolate(heat, images.shape[2:], mode="bilinear")[:, 0]
    most = heat.amax((1, 2), keepdim=True)
    return torch.where(most > 0, heat / most, 0.0)
