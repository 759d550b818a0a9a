"""Batches of an image array that lives on the device."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Generator, Tensor

from reslab import ranks
from reslab.data.augment import Augment
from reslab.preprocess import Normalization, resized, scaled


def generator_of(*seeds: int) -> Generator:
    """A CPU generator that depends on its seeds alone, so that nothing need be saved.

    They are (seed, epoch), and for what is drawn batch by batch (seed, epoch, batch from 1).
    """
    state = np.random.SeedSequence(seeds).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


class EpochSampler:
    """Holds the epoch; Lightning sets it through `loader.sampler.set_epoch`."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order and augmentation the next iteration has."""
        self.epoch = epoch


class EvaluationLoader:
    """Normalized batches in the data set's own order, the last one shorter.

    Of each batch this process' share, of one that has fewer images than there are processes for
    some of them nothing: no batch is given out then.

    Yields (images float `[B, C, H, W]`, labels int64 `[B]`).
    """

    def __init__(
        self, images: Tensor, labels: Tensor, batch_size: int, normalize: Normalization
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.normalize = batch_size, normalize.to(images.device)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = zip(
            self.images.split(self.batch_size), self.labels.split(self.batch_size), strict=True
        )
        for images, labels in batches:
            share = ranks.share(len(images))
            if share.start < share.stop:
                yield self.normalize(scaled(images[share])), labels[share]


class TrainingLoader:
    """Shuffled, augmented, normalized batches; a last partial batch is dropped.

    Of each batch this process' share. Images are mixed with others of the share.

    An epoch's order and random parameters are drawn at once from (seed, epoch). The only state is
    the position in the epoch, which Lightning keeps in the checkpoint.

    Yields (images float `[B, C, H, W]`, labels int64 `[B]`, or shares `[B, K]` of mixed images).

    Args:
        images: uint8 `[N, C, H, W]`.
        labels: int64 `[N]`.
        batch_size: Images in a batch, that of all devices together.
        normalize: What follows augmentation.
        augment: What happens to each image, and to a batch.
        seed: Seed of order and augmentation.
        small_size: Height and width to which the augmented images of the first epochs are resized.
        small_epochs: How many epochs these are.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        normalize: Normalization,
        augment: Augment,
        seed: int,
        small_size: int | None = None,
        small_epochs: int = 0,
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.normalize = batch_size, normalize.to(images.device)
        self.augment, self.seed = augment, seed
        self.small_size, self.small_epochs = small_size, small_epochs
        self.sampler = EpochSampler()
        self._position = 0
        self._resume: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.images) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order, drawn = self._draw_epoch()
        self._position = 0
        if self._resume.get("epoch") == self.sampler.epoch:
            self._position = self._resume["position"]
        share = ranks.share(self.batch_size)
        for position in range(self._position, len(self)):
            first = position * self.batch_size
            batch = slice(first + share.start, first + share.stop)
            self._position = position + 1
            images = self.augmented(order[batch], [values[batch] for values in drawn])
            yield self._mixed(self.normalize(images), self.labels[order[batch]], position)

    def _mixed(self, images: Tensor, labels: Tensor, position: int) -> tuple[Tensor, Tensor]:
        """Mixes a batch, as (seed, epoch, position) alone decide."""
        if self.augment.mix is None:
            return images, labels
        generator = torch.default_generator  # which torchvision draws from
        state = generator.get_state()
        generator.set_state(generator_of(self.seed, self.sampler.epoch, position + 1).get_state())
        try:
            images, labels = self.augment.mix(images, labels)
            return images.contiguous(memory_format=torch.channels_last), labels
        finally:
            generator.set_state(state)

    def augmented(self, indices: Tensor, drawn: list[Tensor]) -> Tensor:
        """Float images `[B, C, H, W]` on the 0-1 scale, before normalization."""
        images = self.augment.apply(scaled(self.images[indices]), drawn)
        if self.small_size is not None and self.sampler.epoch < self.small_epochs:
            images = resized(images, self.small_size)
        return images

    def preview(self, num_images: int) -> Tensor:
        """The first images of the epoch as the network will meet them, on the 0-1 scale."""
        order, drawn = self._draw_epoch()
        first = order[:num_images]
        images = self.augmented(first, [values[:num_images] for values in drawn])
        return self._mixed(images, self.labels[first], 0)[0]

    def _draw_epoch(self) -> tuple[Tensor, list[Tensor]]:
        generator = generator_of(self.seed, self.sampler.epoch)
        order = torch.randperm(len(self.images), generator=generator)
        drawn = self.augment.draw(len(self.images), generator)
        device = self.images.device
        return order.to(device), [values.to(device) for values in drawn]

    def state_dict(self) -> dict[str, int]:
        """The epoch and how many of its batches have been given out."""
        return {"epoch": self.sampler.epoch, "position": self._position}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Starts that epoch where the saved one stood; any other starts at its beginning."""
        self._resume = state_dict
