"""A network with its preprocessing, wherever it comes from: a run, a checkpoint or an export."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from reslab.runs.description import Description
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory

Logits = Callable[[Tensor], Tensor]
"""uint8 images `[N, C, H, W]` of any size to logits fp32 `[N, K]`, on the CPU."""


@dataclass(frozen=True)
class Classifier:
    """Images in, logits out: call it, with uint8 `[N, C, H, W]` of any size.

    Attributes:
        description: How images are prepared, and what the logits mean.
        logits: What computes them.
        network: Network input to logits, in evaluation mode; None of an export.
        directory: The run's files; None of a file alone.
    """

    description: Description
    logits: Logits
    network: nn.Module | None = None
    directory: RunDirectory | None = None

    @classmethod
    def as_trained(
        cls, description: Description, network: nn.Module, directory: RunDirectory | None
    ) -> Self:
        """A network that computes on the CPU what its run did: in fp32, nothing folded."""
        prepare = description.preprocessing

        @torch.inference_mode()
        def logits(images: Tensor) -> Tensor:
            return network(prepare(images))

        return cls(description, logits, network, directory)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.description.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.description.class_names

    @property
    def record(self) -> Record | None:
        """The run's record, None if it is not finished."""
        return self.description.record

    def __call__(self, images: Tensor) -> Tensor:
        """Logits fp32 `[N, K]` of uint8 images `[N, C, H, W]`, resized where their size differs."""
        return self.logits(images)

    def probabilities(self, images: Tensor, mirror: bool = False) -> Tensor:
        """Softmax `[N, K]` of the same images; with `mirror` its mean over both views."""
        probabilities = self.logits(images).softmax(1)
        if mirror:
            probabilities = (probabilities + self.logits(images.flip(-1)).softmax(1)) / 2
        return probabilities
