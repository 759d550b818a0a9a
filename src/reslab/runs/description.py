"""What belongs to a trained network besides its weights."""

from dataclasses import dataclass
from typing import Any

from reslab.preprocess import Normalization, Preprocessing
from reslab.runs.record import Record


@dataclass(frozen=True)
class Description:
    """A trained network in plain values.

    Attributes:
        name: The run's name.
        dataset: The data set's name.
        class_names: Name of each class.
        channels: Channels of the images.
        size: Height and width in pixels that the network was trained on.
        mean: What is subtracted from pixels on the 0-1 scale, one a channel.
        std: What they are divided by, one a channel.
        mirrored: Whether it was trained on mirrored images too.
        model: How the network is built.
        record: The run's record, None if it is not finished.
    """

    name: str
    dataset: str
    class_names: tuple[str, ...]
    channels: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrored: bool
    model: dict[str, Any]
    record: Record | None

    @property
    def preprocessing(self) -> Preprocessing:
        """uint8 pixels to network input."""
        return Preprocessing(self.size, Normalization(self.mean, self.std))
