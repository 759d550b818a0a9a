"""The benchmark's kinds against a plain second writing of its script, severity by severity.

Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261: `make_cifar_c.py` of
https://github.com/hendrycks/robustness, whose constants stand here once more. Each kind is written
down image by image, tap by tap and pixel by pixel, and draws the same numbers in the same order.
"""

import colorsys
import io
import math
from itertools import product

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from PIL import Image
from scipy import ndimage

from reslab.analysis.corruption import PUBLISHED, SEVERITIES, corrupt

SIDE = 32
SEED = 5
PIXELS = list(product(range(SIDE), range(SIDE)))


def pictures():
    """Two: with all primary colors, black and white; and a darker one, float64 `[2, 3, 32, 32]`."""
    rng = default_rng(0)
    coarse = ndimage.zoom(rng.random((2, 3, 5, 5)), (1, 1, 6.4, 6.4), order=1)
    x = np.floor(255 * (0.7 * coarse + 0.3 * rng.random(coarse.shape)))
    x[1] //= 2
    for at, color in enumerate(product((0, 255), repeat=3)):
        x[0, :, 5 + 3 * at, 3 * at % 10 :: 11] = np.array(color)[:, None]
    return x


def gaussian_noise(x, rng, scale):
    return 255 * (x / 255 + scale * rng.standard_normal(x.shape))


def shot_noise(x, rng, photons):
    return 255 * (rng.poisson(x / 255 * photons) / photons)


def impulse_noise(x, rng, amount):
    flipped, salted = rng.random(x.shape) < amount, rng.random(x.shape) < 0.5
    x = x.copy()
    x[flipped & salted] = 255
    x[flipped & ~salted] = 0
    return x


def bell(sigma, reach):
    """The taps of a Gaussian filter of two dimensions."""
    taps = np.array([math.exp(-(at**2) / (2 * sigma**2)) for at in range(-reach, reach + 1)])
    return np.outer(taps, taps) / taps.sum() ** 2


def filtered(plane, taps, edges):
    """The sum over taps; what is beyond an edge in the words of `numpy.pad`."""
    reach = len(taps) // 2
    height, width = plane.shape
    wide = np.pad(plane, reach, edges)
    return sum(
        taps[down, right] * wide[down : down + height, right : right + width]
        for down, right in product(range(len(taps)), repeat=2)
    )


def each_plane(change, x):
    return np.array([[change(plane) for plane in one] for one in x])


def defocus_blur(x, rng, radius, alias_blur):
    disk = np.zeros((17, 17))
    for row, column in product(range(-8, 9), repeat=2):
        disk[row + 8, column + 8] = row**2 + column**2 <= radius**2
    taps = filtered(disk / disk.sum(), bell(alias_blur, 1), "constant")
    return each_plane(lambda plane: filtered(plane, taps, "reflect"), x)


def glass_blur(x, rng, sigma, delta, rounds):
    """What is swapped are two views, of which the second has become the first: it is a copy."""
    taps = bell(sigma, int(4 * sigma + 0.5))
    x = np.floor(each_plane(lambda plane: filtered(plane, taps, "edge"), x))
    for _ in range(rounds):
        up, left = rng.integers(0, 2 * delta, (2, len(x), SIDE - 2 * delta, SIDE - 2 * delta))
        for image, ups, lefts in zip(x, up, left):
            for row, column in product(range(SIDE - delta, delta, -1), repeat=2):
                at = row - delta - 1, column - delta - 1
                image[:, row, column] = image[:, row - ups[at], column - lefts[at]]
    return each_plane(lambda plane: filtered(plane, taps, "edge"), x)


def dragged(image, degrees, radius, sigma):
    """ImageMagick's motion blur, to whole gray levels."""
    width = 2 * radius + 1
    taps = [math.exp(-(at**2) / (2 * sigma**2)) for at in range(width)]
    wide = np.pad(image, ((0, 0), (width, width), (width, width)), "edge")
    total = 0
    for at, tap in enumerate(taps):
        down = width + math.ceil(at * math.sin(math.radians(degrees)) - 0.5)
        right = width + math.ceil(at * math.cos(math.radians(degrees)) - 0.5)
        total = total + tap / sum(taps) * wide[:, down : down + SIDE, right : right + SIDE]
    return np.rint(total)


def motion_blur(x, rng, radius, sigma):
    return [dragged(image, rng.uniform(-45, 45), radius, sigma) for image in x]


def clipped_zoom(image, factor):
    few = math.ceil(SIDE / factor)
    top = (SIDE - few) // 2
    cut = image[:, top : top + few, top : top + few]
    big = ndimage.zoom(cut, (1, factor, factor), order=1)
    trim = (big.shape[1] - SIDE) // 2
    return big[:, trim : trim + SIDE, trim : trim + SIDE]


def zoom_blur(x, rng, most):
    factors = np.arange(1, most, 0.01)
    zoomed = [sum(clipped_zoom(image, factor) for factor in factors) for image in x]
    return (x + zoomed) / (len(factors) + 1)


def snow(x, rng, mean, std, factor, threshold, radius, sigma, kept):
    layers = mean + std * rng.standard_normal((len(x), 1, SIDE, SIDE))
    found = []
    for image, layer in zip(x / 255, layers):
        layer = clipped_zoom(layer, factor)
        layer[layer < threshold] = 0
        layer = np.floor(255 * layer.clip(0, 1))
        layer = dragged(layer, rng.uniform(-135, -45), radius, sigma)
        gray = 0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]
        whiter = kept * image + (1 - kept) * np.maximum(image, 1.5 * gray + 0.5)
        found.append(255 * whiter + layer[0] + np.rot90(layer[0], 2))
    return found


def plasma_fractal(number, rng, decay):
    aslant, straight = list(product((-1, 1), repeat=2)), [(-1, 0), (1, 0), (0, -1), (0, 1)]
    clouds = np.zeros((number, SIDE, SIDE))
    step, wibble = SIDE, 100
    while step >= 2:
        half = step // 2
        for down, right, ways in ((half, half, aslant), (0, half, straight), (half, 0, straight)):
            noise = wibble * rng.uniform(-wibble, wibble, (number, SIDE // step, SIDE // step))
            for row, column in product(range(down, SIDE, step), range(right, SIDE, step)):
                clouds[:, row, column] = noise[:, row // step, column // step]
                for i, j in ways:
                    near = (row + half * i) % SIDE, (column + half * j) % SIDE
                    clouds[:, row, column] += clouds[:, *near] / 4
        step, wibble = half, wibble / decay
    return [(cloud - cloud.min()) / (cloud.max() - cloud.min()) for cloud in clouds]


def fog(x, rng, much, decay):
    clouds = plasma_fractal(len(x), rng, decay)
    return [
        255 * (image + much * cloud) * image.max() / (image.max() + much)
        for image, cloud in zip(x / 255, clouds)
    ]


def brightness(x, rng, more):
    found = np.zeros_like(x)
    for (at, image), (row, column) in product(enumerate(x / 255), PIXELS):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[:, row, column])
        found[at, :, row, column] = colorsys.hsv_to_rgb(hue, saturation, min(value + more, 1))
    return 255 * found


def contrast(x, rng, kept):
    return each_plane(lambda plane: (plane - plane.mean()) * kept + plane.mean(), x)


def resampled(image, rows, columns, edges):
    """Of each pixel the bilinear mean of the four around its place."""
    wide = np.pad(image, ((0, 0), (31, 31), (31, 31)), edges)
    found = np.zeros_like(image)
    for at in PIXELS:
        top, left = math.floor(rows[at]), math.floor(columns[at])
        down, right = rows[at] - top, columns[at] - left
        corners = wide[:, 31 + top : 33 + top, 31 + left : 33 + left]
        found[:, *at] = np.array([1 - down, down]) @ corners @ np.array([1 - right, right])
    return found


TILTING = [(26, 26), (26, 6), (6, 6)]  # of x and y


def elastic_transform(x, rng, alpha, sigma, tilt):
    alpha, sigma, tilt = SIDE * alpha, SIDE * sigma, SIDE * tilt
    before = np.array(TILTING, float)
    moves = rng.uniform(-tilt, tilt, (len(x), 3, 2))
    down, right = rng.uniform(-1, 1, (2, len(x), SIDE, SIDE))
    taps = bell(sigma, int(3 * sigma + 0.5)) if sigma else np.ones((1, 1))
    found = []
    for at, image in enumerate(x):
        after = before + moves[at, :, ::-1]
        affine = np.linalg.solve(np.c_[before, np.ones(3)], after).T
        back = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
        places = np.reshape([back @ (column, row, 1) for row, column in PIXELS], (SIDE, SIDE, 3))
        tilted = resampled(image, places[..., 1], places[..., 0], "reflect")
        dy, dx = (alpha * filtered(field[at], taps, "symmetric") for field in (down, right))
        rows, columns = np.mgrid[:SIDE, :SIDE]
        found.append(resampled(tilted, rows + dy, columns + dx, "symmetric"))
    return found


def by_pillow(change, x):
    images = [Image.fromarray(np.moveaxis(image, 0, 2).astype(np.uint8)) for image in x]
    return [np.moveaxis(np.asarray(change(image), float), 2, 0) for image in images]


def pixelate(x, rng, share):
    few, box = int(SIDE * share), Image.Resampling.BOX
    return by_pillow(lambda image: image.resize((few, few), box).resize((SIDE, SIDE), box), x)


def jpeg_compression(x, rng, quality):
    def through(image):
        image.save(file := io.BytesIO(), "JPEG", quality=quality)
        return Image.open(file)

    return by_pillow(through, x)


CONSTANTS = {
    gaussian_noise: [0.04, 0.06, 0.08, 0.09, 0.10],
    shot_noise: [500, 250, 100, 75, 50],
    impulse_noise: [0.01, 0.02, 0.03, 0.05, 0.07],
    defocus_blur: [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)],
    glass_blur: [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)],
    motion_blur: [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)],
    zoom_blur: [1.06, 1.11, 1.16, 1.21, 1.26],
    snow: [
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ],
    fog: [(0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)],
    brightness: [0.05, 0.1, 0.15, 0.2, 0.3],
    contrast: [0.75, 0.5, 0.4, 0.3, 0.15],
    elastic_transform: [
        (0, 0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ],
    pixelate: [0.95, 0.9, 0.85, 0.75, 0.65],
    jpeg_compression: [80, 65, 58, 50, 40],
}


def check(kind, severity, change, constants):
    """That images are what a writing gives of the same draws, cut to whole gray levels."""
    x = pictures()
    constants = constants if isinstance(constants, tuple) else (constants,)
    expected = change(x, default_rng([SEED, severity, *kind.encode()]), *constants)
    found = corrupt(torch.from_numpy(x.astype(np.uint8)), kind, severity, SEED).numpy()
    expected = np.clip(expected, 0, 255)
    assert (expected - found).min() > -1e-6
    assert (expected - found).max() < 1 + 1e-6
    assert (found != np.floor(expected + 1e-6)).mean() < 0.1, "a whole level may miss by rounding"


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("change", CONSTANTS, ids=lambda change: change.__name__)
def test_a_severity_is_the_published_one(change, severity):
    check(change.__name__, severity, change, CONSTANTS[change][severity - 1])


def test_a_smear_is_as_long_as_published_where_it_is_too_thin_to_see():
    assert PUBLISHED["motion_blur"].levels == tuple(CONSTANTS[motion_blur])
