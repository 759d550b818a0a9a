"""What the seeds and the kept test logits say of a difference.

scipy's special functions do the arithmetic, imported where there is some: its distributions take a
second to import, and a table without runs waits for neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

CONFIDENCE = 0.95
UPPER = (1 + CONFIDENCE) / 2  # the quantile at which such an interval ends
RESAMPLES = 2000
BOOTSTRAP_SEEDS = 5  # of fewer there are too few ways to draw them: of two seeds three


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy.special import stdtrit

    mean, half = np.mean(values), stdtrit(len(values) - 1, UPPER) * _error(np.asarray(values))
    return float(mean - half), float(mean + half)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same test images, with the seeds that both have.

    Attributes:
        first: The first model's name.
        second: The second's.
        seeds: The shared seeds.
        images: Test images.
        difference: Mean accuracy of the first minus the second's, in percentage points.
        std: The sample standard deviation of that difference over seeds, None for one seed.
        image_interval: The 95 % interval of the difference of these very networks over other test
            images.
        seed_interval: Its 95 % interval over networks of other seeds on these test images, by
            Student's t; None for one seed.
        joint_interval: Its 95 % bootstrap interval over both; None for fewer than five seeds.
        only_first: For each seed, the images that only the first has right.
        only_second: For each seed, those that only the second has right.
        p: McNemar's exact p for each seed.
        adjusted_p: The largest of them, or 1 where seeds disagree on which is better, after
            Holm's correction over all pairs of the table: that one is better than the other is
            claimed of every seed or not at all.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    images: int
    difference: float
    std: float | None
    image_interval: tuple[float, float]
    seed_interval: tuple[float, float] | None
    joint_interval: tuple[float, float] | None
    only_first: tuple[int, ...]
    only_second: tuple[int, ...]
    p: tuple[float, ...]
    adjusted_p: float


def compare(first: str, second: str, right: dict[int, tuple[np.ndarray, np.ndarray]]) -> Comparison:
    """Compares two models.

    Args:
        first: A name.
        second: Another.
        right: For each shared seed which test images each has right, bool `[N]` both.
    """
    seeds = tuple(sorted(right))
    pairs = [(right[seed][0].astype(bool), right[seed][1].astype(bool)) for seed in seeds]
    differences = 100 * np.array([a.astype(float) - b.astype(float) for a, b in pairs])
    only_first = tuple(int((a & ~b).sum()) for a, b in pairs)
    only_second = tuple(int((b & ~a).sum()) for a, b in pairs)
    p = tuple(mcnemar(b, c) for b, c in zip(only_first, only_second, strict=True))
    better = {np.sign(b - c) for b, c in zip(only_first, only_second, strict=True)}
    return Comparison(
        first,
        second,
        seeds,
        differences.shape[1],
        float(differences.mean()),
        float(differences.mean(1).std(ddof=1)) if len(seeds) > 1 else None,
        _over_images(differences.mean(0)),
        _over_seeds(differences.mean(1)),
        _bootstrap(differences) if len(seeds) >= BOOTSTRAP_SEEDS else None,
        only_first,
        only_second,
        p,
        max(p) if len(better) == 1 else 1.0,
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test: two-sided p of so uneven a split of what one alone has right.

    McNemar 1947, in the exact binomial form that Dietterich 1998 gives.
    """
    from scipy.special import bdtr

    fewer = min(only_first, only_second)
    return min(1.0, 2 * float(bdtr(fewer, only_first + only_second, 0.5)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979), in the order in which they were given."""
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted.tolist()


def correct(comparisons: Sequence[Comparison], number: int) -> list[Comparison]:
    """The comparisons of a table, corrected for the `number` that it has once all are run."""
    known = [one.adjusted_p for one in comparisons]
    adjusted = holm(known + [1.0] * (number - len(known)))
    return [replace(one, adjusted_p=p) for one, p in zip(comparisons, adjusted, strict=False)]


def _over_seeds(differences: np.ndarray) -> tuple[float, float] | None:
    """The interval of the mean of `[seeds]` by Student's t, as far as percentages go."""
    interval = mean_interval(differences.tolist())
    return interval and (max(-100.0, interval[0]), min(100.0, interval[1]))


def _over_images(differences: np.ndarray) -> tuple[float, float]:
    """The interval of the mean of `[images]` by the normal distribution (Wald's)."""
    from scipy.special import ndtri

    mean, half = differences.mean(), ndtri(UPPER) * _error(differences)
    return float(mean - half), float(mean + half)


def _error(values: np.ndarray) -> float:
    """The standard error of the mean of `[N]`."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _bootstrap(differences: np.ndarray) -> tuple[float, float]:
    """The interval of the mean of `[seeds, images]`, both drawn anew."""
    rng = np.random.default_rng(0)
    seeds, images = differences.shape
    means = [
        differences[rng.integers(seeds, size=seeds)][:, rng.integers(images, size=images)].mean()
        for _ in range(RESAMPLES)
    ]
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
