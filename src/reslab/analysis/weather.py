"""Snow, frost and fog over images: float64 `[N, C, H, W]` of gray levels."""

import numpy as np
from numpy.random import Generator

from reslab.analysis.warp import enlarged, smeared, smoothed

LUMINANCE = np.array([0.299, 0.587, 0.114])

# Of the five photographs of frost that the script cuts pieces of 32 by 32 pixels from, at a fifth
# of their size: the pieces' mean color, and the standard deviation of their pixels.
FROST = (
    ((78, 149, 165), 14),
    ((199, 203, 213), 18),
    ((198, 203, 212), 18),
    ((144, 159, 171), 26),
    ((103, 115, 127), 34),
)


def snow(x: np.ndarray, level: tuple[float, ...], rng: Generator) -> np.ndarray:
    mean, std, factor, least, radius, sigma, kept = level
    flakes = enlarged(rng.normal(mean, std, (len(x), 1, *x.shape[2:])), factor)
    flakes = np.floor(255 * np.where(flakes < least, 0, flakes).clip(0, 1))
    flakes = np.rint(smeared(flakes, rng.uniform(-135, -45, len(x)), int(radius), sigma))
    whiter = kept * x + (1 - kept) * np.maximum(x, 1.5 * _luminance(x) + 127.5)
    return whiter + flakes + flakes[..., ::-1, ::-1]


def frost(x: np.ndarray, level: tuple[float, float], rng: Generator) -> np.ndarray:
    """Grain with the color and the contrast of a photograph of frost, which reslab has none of."""
    kept, added = level
    which = rng.integers(0, len(FROST), len(x))
    colors = np.array([color for color, _ in FROST])[which][:, :, None, None]
    contrasts = np.array([contrast for _, contrast in FROST])[which][:, None, None, None]
    grain = smoothed(rng.normal(size=(len(x), 1, *x.shape[2:])), 0.5)
    ice = colors + contrasts * grain / grain.std((1, 2, 3), keepdims=True)
    ice = ice.clip(0, 255)
    return kept * x + added * (ice if x.shape[1] == 3 else _luminance(ice))


def fog(x: np.ndarray, level: tuple[float, float], rng: Generator) -> np.ndarray:
    much, decay = level
    height, width = x.shape[2:]
    size = 1 << (max(height, width) - 1).bit_length()
    clouds = _fractal(len(x), size, decay, rng)[:, None, :height, :width]
    brightest = x.max((1, 2, 3), keepdims=True) / 255
    return (x + 255 * much * clouds) * brightest / (brightest + much)


def _fractal(number: int, size: int, decay: float, rng: Generator) -> np.ndarray:
    """Clouds from 0 to 1 that repeat on all sides, `[N, S, S]`, by the diamond-square algorithm.

    Args:
        number: How many.
        size: Their side, a power of two.
        decay: What the noise's reach, the root of its amplitude, is divided by when its grid is
            halved.
        rng: What draws it.
    """
    clouds = np.zeros((number, size, size))
    step, reach = size, 100.0
    while step >= 2:
        half = step // 2
        straight = [(half, 0), (-half, 0), (0, half), (0, -half)]
        aslant = [(half, half), (half, -half), (-half, half), (-half, -half)]
        for around, *places in ((aslant, (half, half)), (straight, (0, half), (half, 0))):
            mean = np.mean([np.roll(clouds, way, (1, 2)) for way in around], 0)
            for down, right in places:
                these = (slice(None), slice(down, None, step), slice(right, None, step))
                noise = rng.uniform(-reach, reach, clouds[these].shape)
                clouds[these] = mean[these] + reach * noise
        step, reach = half, reach / decay
    clouds -= clouds.min((1, 2), keepdims=True)
    most: np.ndarray = clouds.max((1, 2), keepdims=True)
    return clouds / most


def _luminance(x: np.ndarray) -> np.ndarray:
    return x if x.shape[1] == 1 else np.einsum("c,nchw->nhw", LUMINANCE, x)[:, None]
