"""The data set as Lightning takes it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from reslab.data.augment import Augment
from reslab.data.loader import EvaluationLoader, TrainingLoader
from reslab.data.sources import ImageArrays, Remark, Source
from reslab.data.splits import split
from reslab.errors import UserError
from reslab.preprocess import Normalization, resized, scaled
from reslab.ranges import IMAGE_DATA, OPTIONAL_IMAGE_DATA, check_whole
from reslab.reporter import SILENT, Reporter

EVALUATION_BATCH_SIZE = 500
PEEKS = Remark("the test set is the validation set too: the epoch is chosen on what is reported")


class ImageData(LightningDataModule):
    """Decoded images; for validation the source's own, or a stratified split of the training set.

    Args:
        name: The data set's name, for people.
        source: Where the images come from.
        data_dir: Folder that holds or will hold the official files.
        channels: Channels that the images must have.
        num_classes: Classes that the labels must have.
        size: Height and width in pixels to which images are resized (bilinear, antialiased).
        batch_size: Images in a training batch, that of all devices together.
        val_size: Images held out of the training set for validation; None where the source has
            such of its own.
        split_seed: Seed of that split, apart from the training seed.
        seed: Seed of order and augmentation.
        mean: Mean to subtract on the 0-1 scale, a number or one a channel; the official training
            set's by default.
        std: Standard deviation to divide by; likewise.
        augment: What happens to training images.
        validate_on_test: Whether the test set stands for the validation set too, as in papers that
            have no other: the best epoch is then chosen on what is reported. `val_size` is None.
        small_size: Height and width of training images in the first epochs, which are quicker so;
            None: `size`, as it is in validation always.
        small_epochs: How many epochs these are.

    Raises:
        ValueError: A number is out of range, or the images are not what was declared.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        data_dir: str,
        channels: int,
        num_classes: int,
        size: int,
        batch_size: int,
        val_size: int | None,
        split_seed: int,
        seed: int,
        augment: Augment,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        validate_on_test: bool | None = None,
        small_size: int | None = None,
        small_epochs: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.source, self.data_dir = name, source, Path(data_dir)
        self.augment = augment
        self.channels, self.num_classes, self.size = channels, num_classes, size
        self.batch_size, self.val_size = batch_size, val_size
        self.seed, self.split_seed = seed, split_seed
        self.small_size, self.small_epochs = small_size, small_epochs
        for field, limits in IMAGE_DATA.items():
            if getattr(self, field) is not None or field not in OPTIONAL_IMAGE_DATA:
                check_whole(field, getattr(self, field), *limits)
        if (small_size is None) != (small_epochs is None):
            raise ValueError(
                f"small_size and small_epochs go together, got {small_size} and {small_epochs}"
            )
        if small_size is not None and small_size >= size:
            raise ValueError(f"small_size must be below size={size}, got {small_size}")
        if validate_on_test and val_size is not None:
            raise ValueError(f"validate_on_test needs val_size=null, got {val_size}")
        self.validate_on_test = validate_on_test
        self.reporter: Reporter = SILENT
        self.remarks: tuple[Remark, ...] = ()
        self._mean, self._std = mean, std
        self._ready = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.size, self.size

    def prepare_data(self) -> None:
        """Fetches and verifies the files, before they are decoded; later there is no need."""
        if not self._ready:
            self.source.prepare(self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Decodes, resizes and splits, once."""
        if self._ready:
            return
        arrays = self.source.load(self.data_dir)
        if self.validate_on_test and arrays.val is None:
            test = arrays.test_images, arrays.test_labels
            arrays = replace(arrays, val=test, remarks=(*arrays.remarks, PEEKS))
        found = arrays.train_images.shape[1], len(arrays.class_names)
        if found != (self.channels, self.num_classes):
            raise ValueError(
                f"{self.name} has {found[0]} channels and {found[1]} classes, "
                f"not {self.channels} and {self.num_classes}"
            )
        train, val = self._train_and_val(arrays)
        self.test_images = resized(arrays.test_images, self.size)
        self.test_labels, self.class_names = arrays.test_labels, arrays.class_names
        self.train_images, self.train_labels = train
        self.val_images, self.val_labels = val
        self.remarks = arrays.remarks
        self._ready = True

    def _train_and_val(self, arrays: ImageArrays) -> list[tuple[Tensor, Tensor]]:
        """Resized images with their labels; measures those of training for the normalization."""
        if (self.val_size is None) == (arrays.val is None):
            has = f"has {'no' if arrays.val is None else 'a'} validation set of its own"
            raise UserError(f"dataset.val_size={self.val_size}: {self.name} {has}")
        if self.val_size is not None:
            most = len(arrays.train_labels) - self.num_classes
            if not self.num_classes <= self.val_size <= most:
                raise UserError(
                    f"dataset.val_size={self.val_size} does not leave one of "
                    f"{len(arrays.train_labels)} images a class on both sides: choose "
                    f"{self.num_classes} to {most}"
                )
        images, labels = resized(arrays.train_images, self.size), arrays.train_labels
        self.normalization = self._normalization(images)
        if arrays.val is not None:
            val_images, val_labels = arrays.val
            return [(images, labels), (resized(val_images, self.size), val_labels)]
        assert self.val_size is not None
        halves = split(labels, self.val_size, self.split_seed)
        return [(images[half], labels[half]) for half in halves]

    @property
    def digest(self) -> str:
        """SHA-256 over all images and labels, after resizing, split by split."""
        digest = hashlib.sha256()
        for name in ("train", "val", "test"):
            for part in ("images", "labels"):
                digest.update(getattr(self, f"{name}_{part}").contiguous().numpy().data)
        return digest.hexdigest()

    @property
    def too_large_a_batch(self) -> str:
        """What is wrong with the size of a batch that there is not even one of; else empty."""
        number = len(self.train_labels)
        if self.batch_size <= number:
            return ""
        return (
            f"dataset.batch_size={self.batch_size} is more than the {number} training images: "
            f"choose at most {number}"
        )

    def train_dataloader(self) -> TrainingLoader:
        """Augmented training batches on the trainer's device.

        Raises:
            UserError: There is not one whole batch, or a remark forbids to train.
        """
        refusals = [remark.refusal for remark in self.remarks if remark.remedy]
        for refusal in (*refusals, self.too_large_a_batch):
            if refusal:
                raise UserError(refusal)
        images, labels = self._on_device(self.train_images, self.train_labels)
        return TrainingLoader(
            *(images, labels, self.batch_size, self.normalization, self.augment, self.seed),
            small_size=self.small_size,
            small_epochs=self.small_epochs or 0,
        )

    def val_dataloader(self) -> EvaluationLoader:
        """Validation batches on the trainer's device."""
        return self._evaluation_loader(self.val_images, self.val_labels)

    def predict_dataloader(self) -> EvaluationLoader:
        """Test batches, in the data set's own order, on the trainer's device."""
        return self._evaluation_loader(self.test_images, self.test_labels)

    def _evaluation_loader(self, images: Tensor, labels: Tensor) -> EvaluationLoader:
        images, labels = self._on_device(images, labels)
        return EvaluationLoader(images, labels, EVALUATION_BATCH_SIZE, self.normalization)

    def _on_device(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return images.to(device), labels.to(device)

    def _normalization(self, images: Tensor) -> Normalization:
        mean, std = self._per_channel("mean", self._mean), self._per_channel("std", self._std)
        if mean is None or std is None:
            measured_mean, measured_std = _measure(images)
            if std is None and min(measured_std) == 0:
                raise ValueError(f"all training images of {self.name} are of one color")
            mean, std = mean or measured_mean, std or measured_std
        return Normalization(mean, std)

    def _per_channel(
        self, field: str, given: float | Sequence[float] | None
    ) -> tuple[float, ...] | None:
        if given is None:
            return None
        values = tuple(given) if isinstance(given, Sequence) else (given,) * self.channels
        if len(values) != self.channels or (field == "std" and min(values) <= 0):
            raise ValueError(
                f"{field} must be a number or one a channel (std positive), got {given}"
            )
        return values


def _measure(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel of uint8 `[N, C, H, W]`, on the 0-1 scale.

    In float64 and by counting grey levels: exact, and without a float copy of the images.
    """
    counts = torch.stack([torch.bincount(c.flatten(), minlength=256) for c in images.unbind(1)])
    levels = scaled(torch.arange(256), torch.float64)
    share = counts.double() / counts.sum(1, keepdim=True)
    mean = share @ levels
    std = (share @ levels**2 - mean**2).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())
