"""What the seeds and the kept test logits say of a difference; scipy does the arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(
        CONFIDENCE, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """Two models on the same test images, with the seeds that both have.

    Attributes:
        first: The first model's name.
        second: The second's.
        seeds: The shared seeds.
        images: Test images.
        difference: Mean accuracy of the first minus the second's, in percentage points.
        interval: Its 95 % bootstrap interval, over test images.
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
    interval: tuple[float, float]
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
    differences = np.mean([a.astype(float) - b.astype(float) for a, b in pairs], axis=0)
    only_first = tuple(int((a & ~b).sum()) for a, b in pairs)
    only_second = tuple(int((b & ~a).sum()) for a, b in pairs)
    p = tuple(mcnemar(b, c) for b, c in zip(only_first, only_second, strict=True))
    better = {np.sign(b - c) for b, c in zip(only_first, only_second, strict=True)}
    return Comparison(
        first,
        second,
        seeds,
        len(differences),
        100 * float(differences.mean()),
        _bootstrap(100 * differences),
        only_first,
        only_second,
        p,
        max(p) if len(better) == 1 else 1.0,
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test: two-sided p of so uneven a split of what one alone has right.

    McNemar 1947, in the exact binomial form that Dietterich 1998 gives.
    """
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


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


def _bootstrap(values: np.ndarray) -> tuple[float, float]:
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        batch=50,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = result.confidence_interval
    return float(low), float(high)
