"""What comes of a gradient on its way back through a network, before any training."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from reslab.nn.blocks import skip_parameters


def gradient_norms(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """The L2 norm of the loss's gradient of each layer's weight, from image to logits.

    Layers are convolutions and linear ones, but for those on skips, which are beside the others.

    Args:
        network: Network input to logits; BatchNorm is as in training.
        images: Network input `[B, C, H, W]`.
        labels: Their classes `[B]`.
    """
    skips = skip_parameters(network)
    weights = {
        name.removesuffix(".weight"): weight
        for name, weight in network.named_parameters()
        if weight.ndim > 1 and name not in skips
    }
    loss = F.cross_entropy(network.train()(images), labels)
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return dict(zip(weights, torch.stack(torch._foreach_norm(gradients)).tolist(), strict=True))


def gradient_correlation(network: nn.Module, start: Tensor, end: Tensor, points: int) -> Tensor:
    """How alike a logit's gradients by the image are, by the distance between two images.

    Of images at equal distances on the line between two: the mean over pairs of the cosine between
    their gradients, by their steps apart, to a quarter of the line, `[points // 4 + 1]`.
    Where it falls to 0 at once, gradients are as noise: "shattered" (Balduzzi et al. 2017,
    https://arxiv.org/abs/1702.08591). They look at networks of one number; here it is the first
    logit's gradient, and BatchNorm has the statistics of the line.

    Args:
        network: Network input to logits.
        start: Network input `[C, H, W]`.
        end: Another.
        points: How many images.
    """
    shares = torch.linspace(0, 1, points)[:, None, None, None]
    images = torch.lerp(start, end, shares)
    _settle_batch_norms(network, images)
    images.requires_grad_()
    (gradients,) = torch.autograd.grad(network.eval()(images)[:, 0].sum(), [images])
    directions = F.normalize(gradients.flatten(1), dim=1)
    cosines = directions @ directions.T
    return torch.stack([cosines.diagonal(steps).mean() for steps in range(points // 4 + 1)])


def _settle_batch_norms(network: nn.Module, images: Tensor) -> None:
    """Has every BatchNorm's running statistics be those of these images."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
