"""From pixels to what a network takes: the one place where that is said."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional as transforms


def resized(pixels: Tensor, size: int) -> Tensor:
    """uint8 or float `[..., C, H, W]` at `size` by `size` pixels: bilinear, antialiased."""
    if pixels.shape[-2:] == (size, size):
        return pixels
    return transforms.resize(pixels, [size, size], antialias=True)


def scaled(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Grey levels from 0 to 255 on the 0-1 scale."""
    return pixels.to(dtype) / 255


class Normalization(nn.Module):
    """Pixels on the 0-1 scale to network input: `(x - mean) / std`, one of each a channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32)[:, None, None])
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Float `[B, C, H, W]` to the same shape, channels last in memory."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


class Preprocessing(nn.Module):
    """uint8 pixels of any size to network input: resized, on the 0-1 scale, normalized.

    Args:
        size: Height and width in pixels that the network takes.
        normalization: What follows the 0-1 scale.
    """

    def __init__(self, size: int, normalization: Normalization) -> None:
        super().__init__()
        self.size, self.normalization = size, normalization

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 `[B, C, H, W]` to float `[B, C, S, S]`."""
        return self.normalization(scaled(resized(pixels, self.size)))
