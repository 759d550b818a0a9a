"""The first pictures with what a network looked at in them."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from reslab.evaluation.looks import draw_looks
from reslab.predicting.predict import Predicted

MOST_SHOWN = 24
LONGEST = 16  # characters of a class name above a picture


class Looks:
    """The first pictures, as far as it is known where the network looked.

    Args:
        class_names: Name of each class.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names
        self.images: list[Tensor] = []
        self._heats: list[Tensor] = []
        self._captions: list[str] = []

    def add(self, one: Predicted) -> None:
        """Takes a picture with its heat, if there is room."""
        if one.image is None or one.heat is None or len(self.images) == MOST_SHOWN:
            return
        self.images.append(one.image)
        self._heats.append(one.heat)
        self._captions.append(self._said(one))

    def draw(self, title: str, path: Path) -> Path:
        """Each picture, and beside it where in it the network saw what it took it for."""
        return draw_looks(self.images, self._heats, self._captions, title, path)

    def _said(self, one: Predicted) -> str:
        assert one.probabilities is not None
        predicted = int(one.probabilities.argmax())
        said = f"{self._short(predicted)} {one.probabilities[predicted]:.0%}"
        if one.label is None or one.label == predicted:
            return said
        return f"{said}, truth: {self._short(one.label)}"

    def _short(self, number: int) -> str:
        name = self.class_names[number]
        return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
