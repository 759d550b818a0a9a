"""Images corrupted in fifteen ways, at the severities of CIFAR-10-C, and moved in two.

Hendrycks & Dietterich 2019, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, https://arxiv.org/abs/1903.12261. What each kind does and how much of it there is at
each severity are those of the script that made their CIFAR-10-C, which means images of 32 pixels:
lengths that it takes from that side are shares of the side here, and others are pixels.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, default_rng
from PIL import Image
from scipy.ndimage import correlate, gaussian_filter
from torch import Tensor

from reslab.analysis.warp import enlarged, rotated, sampled, smeared, smoothed, tilted
from reslab.analysis.weather import fog, frost, snow

SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 8  # pixels of a side
CHUNK = 500  # images that are corrupted at once


def corrupt(images: Tensor, kind: str, severity: int, seed: int = 0) -> Tensor:
    """Images, each corrupted in a kind's way.

    Args:
        images: uint8 `[N, C, H, W]`, gray or in color, of 8 pixels a side or more.
        kind: One of `KINDS`.
        severity: From 1 to 5.
        seed: What draws all that is random, of this kind at this severity.

    Returns:
        uint8 `[N, C, H, W]`.
    """
    one = KINDS[kind]
    rng = default_rng([seed, severity, *kind.encode()])
    level = one.levels[severity - 1]
    found = []
    for chunk in images.split(CHUNK):
        levels = one.change(chunk.numpy().astype(np.float64), level, rng)
        found.append(torch.from_numpy(levels.clip(0, 255).astype(np.uint8)))
    return torch.cat(found)


@dataclass(frozen=True)
class Corruption:
    """A kind.

    Attributes:
        change: Takes gray levels float64 `[N, C, H, W]`, how much is to be done and what draws;
            gives such levels. What is written of them is cut, not rounded, as the script does.
        levels: How much, severity by severity.
    """

    change: Callable[[np.ndarray, Any, Generator], np.ndarray]
    levels: tuple[Any, ...]


def _gaussian_noise(x: np.ndarray, std: float, rng: Generator) -> np.ndarray:
    return x + rng.normal(0, 255 * std, x.shape)


def _shot_noise(x: np.ndarray, photons: float, rng: Generator) -> np.ndarray:
    return rng.poisson(x / 255 * photons) / photons * 255


def _impulse_noise(x: np.ndarray, share: float, rng: Generator) -> np.ndarray:
    """Salt and pepper, in each channel apart."""
    spoilt = rng.random(x.shape) < share
    return np.where(spoilt, 255.0 * (rng.random(x.shape) < 0.5), x)


def _defocus_blur(x: np.ndarray, level: tuple[float, float], _: Generator) -> np.ndarray:
    """A disk, whose edge is smoothed by a bell of 3 by 3 pixels."""
    radius, sigma = level
    reach = np.arange(-3, 4)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(float)
    bell = np.exp(-((reach[2:5] / sigma) ** 2) / 2)
    bell = np.outer(bell, bell) / bell.sum() ** 2
    kernel = correlate(disk / disk.sum(), bell, mode="constant")
    return correlate(x, kernel[None, None], mode="mirror")


def _glass_blur(x: np.ndarray, level: tuple[float, int], rng: Generator) -> np.ndarray:
    """Each pixel becomes one of the four above and left of it, itself among them.

    The script means to swap the two; as it is written, one is copied.
    """
    sigma, times = level
    x = np.floor(smoothed(x, sigma))
    number, _, height, width = x.shape
    each = np.arange(number)[:, None, None]
    rows, columns = np.mgrid[2:height, 2:width]
    for _ in range(times):
        up, left = rng.integers(0, 2, (2, number, height - 2, width - 2))
        moved = x[each, :, rows - up, columns - left]  # `[N, H, W, C]`
        x[:, :, 2:, 2:] = np.moveaxis(moved, -1, 1)
    return smoothed(x, sigma)


def _motion_blur(x: np.ndarray, level: tuple[int, float], rng: Generator) -> np.ndarray:
    return np.rint(smeared(x, rng.uniform(-45, 45, len(x)), *level))


def _zoom_blur(x: np.ndarray, most: float, _: Generator) -> np.ndarray:
    factors = np.arange(1, most, 0.01)
    total: np.ndarray = x + sum(enlarged(x, factor) for factor in factors)
    return total / (len(factors) + 1)


def _brightness(x: np.ndarray, more: float, _: Generator) -> np.ndarray:
    """The value of hue, saturation and value is raised: the largest of the channels."""
    value = x.max(1, keepdims=True)
    raised = (value + 255 * more).clip(0, 255)
    return np.where(value == 0, raised, x * raised / np.where(value == 0, 1, value))


def _contrast(x: np.ndarray, share: float, _: Generator) -> np.ndarray:
    mean = x.mean((2, 3), keepdims=True)
    return mean + share * (x - mean)


def _elastic_transform(
    x: np.ndarray, level: tuple[float, float, float], rng: Generator
) -> np.ndarray:
    """Tilted, and then each pixel displaced in a smooth field."""
    height, width = x.shape[2:]
    much, sigma, tilt = (min(height, width) * share for share in level)
    x = tilted(x, tilt, rng)
    noise = rng.uniform(-1, 1, (2, len(x), height, width))
    rows, columns = np.mgrid[:height, :width]
    down, right = much * gaussian_filter(noise, (0, 0, sigma, sigma), mode="reflect", truncate=3)
    return sampled(x, rows + down, columns + right, "reflect")


def _pixelate(x: np.ndarray, share: float, _: Generator) -> np.ndarray:
    height, width = x.shape[2:]
    fewer = int(width * share), int(height * share)
    box = Image.Resampling.BOX
    return _one_by_one(x, lambda one: one.resize(fewer, box).resize((width, height), box))


def _jpeg_compression(x: np.ndarray, quality: int, _: Generator) -> np.ndarray:
    def through(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _one_by_one(x, through)


def _shift(x: np.ndarray, share: float, rng: Generator) -> np.ndarray:
    """By whole pixels up, down, left or right, the edge following."""
    height, width = x.shape[2:]
    pixels = int(np.ceil(share * min(height, width)))
    ways = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])[rng.integers(0, 4, len(x))]
    down, right = pixels * ways.T[..., None, None]
    rows, columns = np.mgrid[:height, :width]
    return np.rint(sampled(x, rows - down, columns - right, "nearest"))


def _rotation(x: np.ndarray, degrees: float, rng: Generator) -> np.ndarray:
    """To the left or to the right, the edge following."""
    return np.rint(rotated(x, rng.choice([-degrees, degrees], len(x))))


def _one_by_one(x: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """What becomes of each image in Pillow's hands."""
    changed = []
    for one in np.moveaxis(x, 1, -1).astype(np.uint8):
        image = Image.fromarray(one[..., 0] if one.shape[-1] == 1 else one)
        changed.append(np.asarray(change(image), float).reshape(one.shape))
    return np.moveaxis(np.stack(changed), -1, 1)


PUBLISHED = {
    "gaussian_noise": Corruption(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": Corruption(_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": Corruption(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": Corruption(
        _defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))
    ),
    "glass_blur": Corruption(_glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion_blur": Corruption(_motion_blur, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom_blur": Corruption(_zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "snow": Corruption(
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": Corruption(frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": Corruption(fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": Corruption(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Corruption(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": Corruption(
        _elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": Corruption(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "jpeg_compression": Corruption(_jpeg_compression, (80, 65, 58, 50, 40)),
}
"""The fifteen of the benchmark, in its order."""

MOVES = {
    "shift": Corruption(_shift, tuple(at / 16 for at in SEVERITIES)),  # shares of the side
    "rotation": Corruption(_rotation, tuple(6 * at for at in SEVERITIES)),  # degrees
}
"""Two of our own, which the benchmark has not."""

KINDS = PUBLISHED | MOVES
