"""Logits of two networks for the same test images: the same bits, or as alike as two seeds'."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.tables.plan import Cell
from reslab.tables.publication import slug
from reslab.tables.reference import changes

SEEDS_ALIKE = 0.4  # where no two seeds of a row are kept
MARGIN = 0.05  # below the least alike of a row's seeds
SIZES = 1.5  # the factor that parts the sizes of two networks' logits at the most


@dataclass(frozen=True)
class Likeness:
    """How far two networks say the same of the same images, class by class.

    Each image's logits count from their mean, which softmax does not see.

    Attributes:
        correlation: Of what the labels leave open: Pearson's, over images and classes, after the
            mean over each label's images is taken off. 0 of a constant, of images in another order,
            and of networks that share no more than what the labels say.
        size: The first's root mean square over the second's: what a temperature would change.
    """

    correlation: float
    size: float

    def faults(self, least: float) -> list[str]:
        """Why these cannot be two runs of one recipe, see `least_alike`; empty if they can."""
        found = []
        if not self.correlation >= least:
            found.append(
                f"logits of the run at hand correlate with the kept ones by {self.correlation:.3f} "
                f"beyond the labels, and {least:.3f} is asked for"
            )
        if not 1 / SIZES <= self.size <= SIZES:
            found.append(
                f"logits of the run at hand have {self.size:.3g} times the size of the kept ones, "
                f"and {1 / SIZES:.2f} to {SIZES:.2f} is asked for"
            )
        return found


def likeness(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Likeness:
    """How alike two networks' logits `[N, K]` of images with these labels `[N]` are."""
    with np.errstate(invalid="ignore", divide="ignore"):  # of a constant, or what is no number
        ours, theirs = (_centered(one.astype(np.float64)) for one in (ours, theirs))
        size = np.sqrt(np.square(ours).sum() / np.square(theirs).sum())
        ours, theirs = _beyond(ours, labels), _beyond(theirs, labels)
        scale = np.sqrt(np.square(ours).sum() * np.square(theirs).sum())
        correlation = (ours * theirs).sum() / scale if scale > 0 else 0.0
    return Likeness(float(correlation), float(size))


def _centered(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(1, keepdims=True)


def _beyond(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    means = np.zeros((labels.max() + 1, logits.shape[1]))
    np.add.at(means, labels, logits)
    return logits - (means / np.maximum(np.bincount(labels), 1)[:, None])[labels]


def least_alike(seeds: Sequence[RunDirectory]) -> float:
    """The correlation from which on a run counts as one of the record's recipe.

    What another machine's rounding makes of a run is taken to be another seed of it at the worst:
    as little alike as the least of the row's kept seeds are to each other, and a margin, of which
    the pairs of a row in `outputs/reference` stay within. Where fewer than two seeds are kept, it
    is what all rows there keep, the demo's with three epochs too. Most pairs of good networks for
    the same images reach that: it tells shuffled images, constants and ruined networks alone. That
    both hold there, and that of Liu & Goh's rows with their seeds most others fall below,
    tests/test_logits.py shows.

    Args:
        seeds: What `kept_seeds` finds.
    """
    readable = []
    for run in seeds:
        with contextlib.suppress(UserError):  # its own cell says so
            readable.append(run.predictions()[:2])
    found = [
        likeness(ours, theirs, labels).correlation
        for (ours, labels), (theirs, their_labels) in combinations(readable, 2)
        if ours.shape == theirs.shape and np.array_equal(labels, their_labels)
    ]
    return min(found) - MARGIN if found else SEEDS_ALIKE


def kept_seeds(kept: Cell) -> list[RunDirectory]:
    """The kept runs of a cell's row, of all seeds, that are what they were when they were kept."""
    of_row = re.compile(re.escape(slug(kept.row.name)) + r"-s\d+")
    paths = sorted(kept.directory.path.parent.iterdir())
    return [RunDirectory(one) for one in paths if of_row.fullmatch(one.name) and not changes(one)]


def other_images(
    ours: np.ndarray, theirs: np.ndarray, names: tuple[str, ...], their_names: tuple[str, ...]
) -> str:
    """Whether labels `[N]` are of other images, or of another order; empty if they are not."""
    if names != their_names:
        return "the run at hand was tested on other classes"
    if len(ours) != len(theirs):
        return f"the run at hand was tested on {len(ours)} images, not on {len(theirs)}"
    differ = np.flatnonzero(ours != theirs)
    if not differ.size:
        return ""
    at = int(differ[0])
    return (
        f"the run at hand was tested on other images or in another order: test image {at} is "
        f"labeled {names[ours[at]]}, not {names[theirs[at]]}"
    )


def changed_bits(ours: np.ndarray, theirs: np.ndarray, names: tuple[str, ...]) -> str:
    """Which logits `[N, K]` are not the same to the bit; empty if all are."""
    if ours.dtype != theirs.dtype:
        return f"logits of the run at hand are kept as {ours.dtype}, not as {theirs.dtype}"
    bits = np.dtype(f"u{ours.itemsize}")
    differ = np.ascontiguousarray(ours).view(bits) != np.ascontiguousarray(theirs).view(bits)
    images = np.flatnonzero(differ.any(1))
    if not images.size:
        return ""
    at = int(images[0])
    column = int(np.flatnonzero(differ[at])[0])
    return (
        f"logits of the run at hand differ for {len(images)} of {len(ours)} test images, first "
        f"for test image {at} (from 0): {ours[at, column]:.6g} for {names[column]}, "
        f"not {theirs[at, column]:.6g}"
    )
