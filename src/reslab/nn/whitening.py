"""A fixed first layer that whitens patches of images."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

EPSILON = 5e-4  # added to variances, images being normalized: what hardly varies is not blown up


class Whitening(nn.Module):
    """Patches of an image as numbers that are uncorrelated, and of variance 1, over a data set.

    Of all ways to whiten, it is the one that leaves each number nearest to the one that it comes of
    (ZCA, see Kessy et al. 2018, https://arxiv.org/abs/1512.00809), for this one is unique. Its
    filters are not trained: they are learned of images once, and are part of the network's state.
    Before that it gives patches as they are.

    As many numbers come out as a patch has: a convolution of 1x1 behind it computes what one of
    the patch's size computes without it.

    Args:
        channels: Channels C of the images.
        kernel_size: Height and width k of a patch, odd.
        stride: Pixels from one patch to the next one.
    """

    filters: Tensor

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.stride, self.padding = stride, kernel_size // 2
        self.out_channels = channels * kernel_size**2
        as_they_are = torch.eye(self.out_channels)
        self.register_buffer("filters", as_they_are.view(-1, channels, kernel_size, kernel_size))

    @property
    def has_learned(self) -> bool:
        """Whether its filters are of images."""
        return not torch.equal(self.filters.flatten(1).cpu(), torch.eye(self.out_channels))

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> None:
        """Has its filters be those for batches of normalized images `[N, C, H, W]`.

        By the patches within them; of images that are smaller than one, by those with a border of
        zeros, as it sees them.
        """
        size = self.filters.shape[-1]
        total, products, number = torch.zeros(()), torch.zeros(()), 0
        for images in batches:
            border = self.padding if min(images.shape[2:]) < size else 0
            patches = F.unfold(images.cpu().double(), size, padding=border)  # `[N, C k k, P]`
            total = total + patches.sum((0, 2))
            products = products + (patches @ patches.mT).sum(0)
            number += len(patches) * patches.shape[2]
        mean = total / number
        variances, directions = torch.linalg.eigh(products / number - torch.outer(mean, mean))
        whitened = directions / (variances + EPSILON).sqrt() @ directions.T
        self.filters.copy_(whitened.view_as(self.filters))

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C k k, H / s, W / s]`."""
        if torch.is_autocast_enabled(x.device.type):  # large filters cancel: not in bf16
            with torch.autocast(x.device.type, enabled=False):
                return self._apart(x.float())
        return self._apart(x)

    def _apart(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters, stride=self.stride, padding=self.padding)


def yet_to_learn(network: nn.Module) -> list[Whitening]:
    """Those layers of a network that whiten and have not learned of images yet."""
    layers = [layer for layer in network.modules() if isinstance(layer, Whitening)]
    return [layer for layer in layers if not layer.has_learned]
