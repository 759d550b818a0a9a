"""Images smeared, smoothed, enlarged and moved: float64 `[N, C, H, W]` of gray levels."""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.random import Generator
from scipy.ndimage import gaussian_filter, zoom

Edges = Literal["nearest", "mirror", "reflect"]
"""What lies outside of an image, in the words of `scipy.ndimage`."""


def smeared(images: np.ndarray, degrees: np.ndarray, radius: int, sigma: float) -> np.ndarray:
    """Images smeared to one side, as by ImageMagick's motion blur.

    Args:
        images: They.
        degrees: The angle of each `[N]`, clockwise from the right.
        radius: Twice it, and one, are the steps of a pixel that are summed.
        sigma: Standard deviation of the half bell that weighs the steps.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-((steps / sigma) ** 2) / 2)
    angles = np.deg2rad(degrees)
    number, _, height, width = images.shape
    each = np.arange(number)[:, None, None, None]
    channel = np.arange(images.shape[1])[:, None, None]
    smear = np.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        down, right = (np.ceil(step * way(angles) - 0.5).astype(int) for way in (np.sin, np.cos))
        rows = (np.arange(height) + down[:, None]).clip(0, height - 1)
        columns = (np.arange(width) + right[:, None]).clip(0, width - 1)
        smear += weight * images[each, channel, rows[:, None, :, None], columns[:, None, None, :]]
    return smear


def smoothed(images: np.ndarray, sigma: float) -> np.ndarray:
    """Images under a Gaussian filter; beyond an edge are its own pixels."""
    smooth: np.ndarray = gaussian_filter(images, (0, 0, sigma, sigma), mode="nearest")
    return smooth


def enlarged(images: np.ndarray, factor: float) -> np.ndarray:
    """The middle of images, enlarged bilinearly to the size that they had."""
    down, right = (_enlarging(size, factor) for size in images.shape[-2:])
    bigger: np.ndarray = down @ images @ right.T
    return bigger


def _enlarging(size: int, factor: float) -> np.ndarray:
    """The matrix `[S, S]` that does it along one side."""
    number = int(np.ceil(size / factor))
    whole = np.zeros((number, size))
    whole[:, (size - number) // 2 :][:, :number] = np.eye(number)
    bigger = zoom(whole, (factor, 1), order=1)
    start = (len(bigger) - size) // 2
    return bigger[start : start + size]


def sampled(images: np.ndarray, rows: np.ndarray, columns: np.ndarray, edges: Edges) -> np.ndarray:
    """Bilinear samples of images.

    Args:
        images: They.
        rows: Of each pixel where in its image it is taken from, `[N, H, W]`.
        columns: Likewise.
        edges: What is taken outside.
    """
    in_middles = edges != "reflect"  # of the pixels at the edges is where the grid has -1 and 1
    grid = [
        2 * at / (size - 1) - 1 if in_middles else (2 * at + 1) / size - 1
        for at, size in zip((columns, rows), images.shape[:1:-1], strict=True)
    ]
    found: np.ndarray = F.grid_sample(
        torch.from_numpy(images),
        torch.from_numpy(np.stack(grid, -1)),
        padding_mode="border" if edges == "nearest" else "reflection",
        align_corners=in_middles,
    ).numpy()
    return found


def rotated(images: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Each image turned clockwise around its middle by its own angle `[N]`."""
    angles = np.deg2rad(degrees)[:, None, None]
    height, width = images.shape[-2:]
    down, right = np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    rows = np.cos(angles) * down - np.sin(angles) * right + (height - 1) / 2
    columns = np.sin(angles) * down + np.cos(angles) * right + (width - 1) / 2
    return sampled(images, rows, columns, "nearest")


def tilted(images: np.ndarray, most: float, rng: Generator) -> np.ndarray:
    """Each image mapped so that three points around its middle move at random.

    Args:
        images: They.
        most: How many pixels each of the points moves at most, down and to the right.
        rng: What draws how far.
    """
    number, _, height, width = images.shape
    middle, arm = np.array([height, width]) // 2, min(height, width) // 3
    corners = np.array([[1, 1], [-1, 1], [-1, -1]])  # OpenCV's, to which the script gives x and y
    before = np.c_[middle + arm * corners, np.ones(3)]
    after = before.repeat(number).reshape(3, 3, number).transpose(2, 0, 1).copy()
    after[..., :2] += rng.uniform(-most, most, (number, 3, 2))
    back = np.linalg.solve(after, before)  # `[N, 3, 3]`, of rows (row, column, 1)
    places = np.stack([*np.mgrid[:height, :width], np.ones((height, width))], -1)
    rows, columns, _ = np.moveaxis(np.einsum("hwi,nij->nhwj", places, back), -1, 0)
    return sampled(images, rows, columns, "mirror")
