"""What belongs to a trained network besides its weights, in its checkpoint and its exports."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig, OmegaConf

from reslab.content import build
from reslab.data import ImageData
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
        data: How the data set is built; None in an export of an older version.
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
    data: dict[str, Any] | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        """uint8 pixels to network input."""
        return Preprocessing(self.size, Normalization(self.mean, self.std))

    def as_json(self) -> dict[str, Any]:
        """The same in the types that JSON has."""
        content = {one.name: getattr(self, one.name) for one in fields(self)}
        content |= {key: list(content[key]) for key in ("class_names", "mean", "std")}
        return content | {"record": self.record and self.record.as_json()}

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The description of which that is the content; what else is in it is passed over.

        Raises:
            ValueError: A field is missing, of another type, or not what it can be.
        """
        if not isinstance(content, Mapping):
            raise ValueError("it is no description")
        record = content.get("record")
        if isinstance(record, Mapping):
            record = Record.from_json(record)
        description: Self = build(cls, dict(content) | {"record": record})
        name, channels = description.name, description.channels
        if Path(name).name != name or name in ("", ".."):
            raise ValueError(f"the run's name {name!r} is no file's name")
        for key in ("mean", "std"):
            values = getattr(description, key)
            if len(values) != channels or not all(map(_is_finite, values)):
                raise ValueError(f"{key} is {values!r:.60}, not one number a channel")
        if min(description.size, channels, *description.std) <= 0:
            raise ValueError("size, channels and std are to be positive")
        return description


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def describe(name: str, cfg: DictConfig, data: ImageData) -> Description:
    """The network of a run that is not finished.

    Args:
        name: The run's name.
        cfg: Its configuration.
        data: Its data set, ready.
    """
    mean, std = data.normalization.mean, data.normalization.std
    model: Any = OmegaConf.to_container(cfg.model, resolve=True)
    dataset: Any = OmegaConf.to_container(cfg.dataset, resolve=True)
    return Description(
        name=name,
        dataset=cfg.dataset.name,
        class_names=data.class_names,
        channels=data.channels,
        size=data.size,
        mean=tuple(mean.flatten().tolist()),
        std=tuple(std.flatten().tolist()),
        mirrored=data.augment.mirrors,
        model=model,
        record=None,
        data=dataset,
    )
