"""Pictures with what a network looked at in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from reslab.evaluation.figures import literal, own_style, save_figure
from reslab.predicting.predict import Predicted

MOST_SHOWN = 24
ABREAST = 6
LONGEST = 16  # characters of a class name above a picture
STRENGTH = 0.6  # of the color where the heat is greatest


def overlaid(image: Tensor, heat: Tensor) -> Tensor:
    """A picture uint8 `[C, S, S]` below its heat `[S, S]` from 0 to 1: uint8 `[3, S, S]`."""
    color = torch.from_numpy(matplotlib.colormaps["inferno"](heat.numpy())[..., :3])
    share = STRENGTH * heat[..., None]
    pixels = image.expand(3, -1, -1).permute(1, 2, 0) / 255 * (1 - share) + color * share
    return (pixels * 255).round().to(torch.uint8).permute(2, 0, 1)


@dataclass
class Looks:
    """The first pictures, as far as it is known where the network looked."""

    class_names: Sequence[str]
    shown: list[Predicted] = field(default_factory=list)

    def add(self, one: Predicted) -> None:
        """Takes a picture with its heat, if there is room."""
        if one.heat is not None and len(self.shown) < MOST_SHOWN:
            self.shown.append(one)

    @own_style
    def draw(self, title: str, path: Path) -> Path:
        """Each picture, and beside it where in it the network saw what it took it for."""
        columns = min(ABREAST, len(self.shown))
        rows = -(-len(self.shown) // columns)
        size = (max(2.1 * columns, 5), 1.35 * rows + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, one in zip(panels, self.shown, strict=False):
            assert one.image is not None
            assert one.heat is not None
            plain = one.image.expand(3, -1, -1)
            pixels = torch.cat([plain, overlaid(one.image, one.heat)], 2).permute(1, 2, 0)
            axes.imshow(pixels.numpy())
            axes.set_title(self._said(one), loc="left", fontsize=7)
        for axes in panels:
            axes.set_axis_off()
        figure.suptitle(literal(title), fontsize=10)
        return save_figure(figure, path)

    def _said(self, one: Predicted) -> str:
        assert one.probabilities is not None
        predicted = int(one.probabilities.argmax())
        said = f"{self._short(predicted)} {one.probabilities[predicted]:.0%}"
        if one.label in (None, predicted):
            return said
        return f"{said}, truth: {self._short(one.label)}"

    def _short(self, number: int) -> str:
        name = self.class_names[number]
        return literal(
            name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
        )
