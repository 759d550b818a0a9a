"""Augmentation of whole batches, each image with its own random parameters.

Drawing is apart from applying: an epoch's parameters are drawn once, on the CPU, so that they are
the same on every device and at every batch position, and applying them needs no randomness.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from reslab.ranges import check_number, check_whole


class Augmentation(Protocol):
    """One random change of an image; one that mirrors left to right says so: `mirrors = True`."""

    def draw(self, num_images: int, generator: Generator) -> Tensor:
        """Random parameters `[num_images, ...]`, on the CPU."""

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """Changes float images `[B, C, H, W]` on the 0-1 scale by their parameters `[B, ...]`."""


Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Mixes normalized images `[B, C, H, W]` and labels `[B]` to images and shares `[B, K]`."""


class Augment:
    """Named augmentations, applied in the order in which they are given.

    Args:
        mix: What mixes whole batches, such as torchvision's MixUp and CutMix; it draws from torch's
            CPU generator.
        steps: The augmentations of single images.
    """

    def __init__(self, mix: Mix | None = None, **steps: Augmentation) -> None:
        for name, step in steps.items():
            if not (hasattr(step, "draw") and hasattr(step, "apply")):
                raise TypeError(f"{name} is no augmentation with draw and apply: {step}")
        self.mix, self.steps = mix, tuple(steps.values())

    @property
    def mirrors(self) -> bool:
        """Whether a step says that it mirrors images left to right."""
        return any(getattr(step, "mirrors", False) for step in self.steps)

    def draw(self, num_images: int, generator: Generator) -> list[Tensor]:
        """One tensor of parameters `[num_images, ...]` for each step."""
        return [step.draw(num_images, generator) for step in self.steps]

    def apply(self, images: Tensor, drawn: Sequence[Tensor]) -> Tensor:
        """Changes float images `[B, C, H, W]` on the 0-1 scale, shape kept."""
        for step, parameters in zip(self.steps, drawn, strict=True):
            images = step.apply(images, parameters)
        return images


class HorizontalFlip:
    """Mirrors an image left to right with the given probability."""

    def __init__(self, probability: float = 0.5) -> None:
        check_number("probability", probability, 0, 1)
        self.probability, self.mirrors = probability, probability > 0

    def draw(self, num_images: int, generator: Generator) -> Tensor:
        """Whether to mirror, bool `[num_images]`."""
        return torch.rand(num_images, generator=generator) < self.probability

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        return torch.where(drawn[:, None, None, None], images.flip(-1), images)


class RandomCrop:
    """Pads an image on every side, with black or by reflection, and cuts its size out again."""

    MODES = ("constant", "reflect")

    def __init__(self, padding: int = 4, mode: str = "constant") -> None:
        check_whole("padding", padding, 1)
        if mode not in self.MODES:
            raise ValueError(f"mode must be one of {', '.join(self.MODES)}, got {mode}")
        self.padding, self.mode = padding, mode

    def draw(self, num_images: int, generator: Generator) -> Tensor:
        """Top-left corner (y, x) in the padded image, int `[num_images, 2]`."""
        return torch.randint(2 * self.padding + 1, (num_images, 2), generator=generator)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        height, width = images.shape[2:]
        padded = F.pad(images, [self.padding] * 4, self.mode)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [B, C, 2p + 1, 2p + 1, H, W]
        batch = torch.arange(len(images), device=images.device)
        return windows[batch, :, drawn[:, 0], drawn[:, 1]]


class Cutout:
    """Covers a square with one value, its center anywhere in the image, its rest cut off.

    DeVries & Taylor 2017 (https://arxiv.org/abs/1708.04552), who fill with the training mean.

    Args:
        size: Side of the square in pixels.
        fill: The value on the 0-1 scale; mid-grey is near the means of photographs.
    """

    def __init__(self, size: int = 16, fill: float = 0.5) -> None:
        check_whole("size", size, 1)
        check_number("fill", fill, 0, 1)
        self.size, self.fill = size, fill

    def draw(self, num_images: int, generator: Generator) -> Tensor:
        """The center (y, x) as shares of height and width, float `[num_images, 2]`."""
        return torch.rand(num_images, 2, generator=generator)

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        inside = [
            self._covers(drawn[:, axis, None], length)
            for axis, length in enumerate(images.shape[2:])
        ]
        covered = inside[0][:, :, None] & inside[1][:, None, :]  # [B, H, W]
        return images.masked_fill(covered[:, None], self.fill)

    def _covers(self, center: Tensor, length: int) -> Tensor:
        """Which of `length` pixels the square covers, for centers `[B, 1]`: bool `[B, length]`."""
        first = (center * length).floor() - self.size // 2
        pixels = torch.arange(length, device=center.device)
        return (pixels >= first) & (pixels < first + self.size)


class BrightnessJitter:
    """Adds one number, uniform in [-delta, delta] on the 0-1 scale, to a whole image.

    Not clipped, as TensorFlow's `random_brightness` is not on float images.
    """

    def __init__(self, delta: float = 0.1) -> None:
        check_number("delta", delta, 0, 1)
        self.delta = delta

    def draw(self, num_images: int, generator: Generator) -> Tensor:
        """What to add, float `[num_images]`."""
        return (torch.rand(num_images, generator=generator) * 2 - 1) * self.delta

    def apply(self, images: Tensor, drawn: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C, H, W]`."""
        return images + drawn[:, None, None, None]
