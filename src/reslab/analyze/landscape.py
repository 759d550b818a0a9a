"""The loss landscape of runs: how their networks' loss changes around their weights."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from reslab.analysis.fold import fold_batch_norms
from reslab.analysis.landscape import Plane, draw_direction, folded, losses, steps
from reslab.analyze.opened import Opened
from reslab.analyze.question import refuse_beyond
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.predicting.engine import Engine
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory

SECONDS_BETWEEN_SAVES = 20
MOST_POINTS = 1001


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        points: Points along each side of the plane; odd, so that the weights are in its middle.
        line_points: Points along the first direction alone; odd, too.
        reach: How many steps, each as long as the filters are, the plane reaches to each side.
        images: How many images the loss is the mean over; all, where there are fewer.
        split: Which images: those of `train`, without augmentation, of `val` or of `test`.
        seed: What draws both directions and the images.
    """

    points: int = 25
    line_points: int = 51
    reach: float = 1.0
    images: int = 2000
    split: Literal["train", "val", "test"] = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("points", "line_points"):
            value = getattr(self, name)
            if not 3 <= value <= MOST_POINTS or value % 2 == 0:
                raise UserError(f"{name}={value}: choose an odd number from 3 to {MOST_POINTS}")
        if not 0 < self.reach < float("inf"):
            raise UserError(f"reach={self.reach}: choose a positive number")
        refuse_beyond("images", self.images, least=1)
        refuse_beyond("seed", self.seed, least=0)  # so that torch takes twice as much

    @property
    def places(self) -> list[tuple[float, float]]:
        """All of them: those of the line, then those of the plane, row by row."""
        line = [(step, 0.0) for step in steps(self.line_points, self.reach)]
        side = steps(self.points, self.reach)
        return [*line, *((first, second) for second in side for first in side)]


@dataclass(frozen=True)
class Landscape:
    """What was found of a run.

    Attributes:
        line: Loss and accuracy at each step along the first direction, `[L, 2]`.
        plane: The same on the plane, `[P, P, 2]`: rows are steps along the second direction.
        images: How many images they are the mean over.
    """

    line: np.ndarray
    plane: np.ndarray
    images: int

    @property
    def losses(self) -> np.ndarray:
        """The loss on the plane, `[P, P]`."""
        losses: np.ndarray = self.plane[..., 0]
        return losses

    def __str__(self) -> str:
        """A line."""
        middle = len(self.plane) // 2
        loss, accuracy = self.plane[middle, middle]
        return (
            f"loss {loss:.4g} and accuracy {accuracy:.2%} at the weights; "
            f"the loss is {np.median(self.losses):.3g} in half of the plane or less"
        )


def select(data: ImageData, settings: Settings) -> tuple[Tensor, Tensor]:
    """The images uint8 `[N, C, H, W]` and their labels, drawn from all of the split's."""
    images, labels = (getattr(data, f"{settings.split}_{part}") for part in ("images", "labels"))
    generator = torch.Generator().manual_seed(settings.seed)
    chosen = torch.randperm(len(labels), generator=generator)[: settings.images]
    return images[chosen], labels[chosen]


def add(
    run: Opened, selected: tuple[Tensor, Tensor], settings: Settings, reporter: Reporter
) -> None:
    """Finds what is not kept yet, and keeps it, now and then and at the end.

    Args:
        run: The run, whose analysis nobody else adds to.
        selected: The images and labels.
        settings: What is asked for.
        reporter: Told how far it is.
    """
    places, found = settings.places, list(run.kept.read().get("values", ()))
    images, labels = selected
    plane = _plane(run.engine, run.network, settings.seed)
    missing = losses(plane, places[len(found) :], lambda: run.engine(images), labels)

    def keep() -> None:
        run.kept.write({"values": np.array(found), "images": np.array(len(labels))})

    saved = time.monotonic()
    try:
        with reporter.progress(len(places), "point") as advance:
            for _ in found:
                advance()
            for value in missing:
                found.append(np.array(value))
                advance()
                if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                    keep()
                    saved = time.monotonic()
    finally:  # of Ctrl-C, too
        if found:
            keep()


def read(
    run: RunDirectory, settings: Settings, arrays: Mapping[str, np.ndarray]
) -> Landscape | None:
    """The landscape that arrays hold which were kept beside a run, None before it is whole."""
    values = arrays["values"]
    if len(values) < len(settings.places):
        return None
    line, side = values[: settings.line_points], values[settings.line_points :]
    plane = side.reshape(settings.points, settings.points, 2)
    return Landscape(line, plane, int(arrays["images"]))


def _plane(engine: Engine, network: nn.Module, seed: int) -> Plane:
    """The weights with which the engine computes, to be moved."""
    ways = [folded(network, draw_direction(network, seed)) for seed in (2 * seed, 2 * seed + 1)]
    origin = dict(fold_batch_norms(network).named_parameters())
    return Plane(engine.network, origin, ways)
