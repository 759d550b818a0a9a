"""The usual script: eager fp32, NCHW, and a DataLoader with two workers over transforms."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from reslab.data import BrightnessJitter, Cutout, HorizontalFlip, ImageData, RandomCrop
from reslab.errors import UserError

WORKERS: dict[str, Any] = {"num_workers": 2, "persistent_workers": True}


class Pictures(Dataset):
    """Images as PIL pictures through a transform, as torchvision's data sets give them."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Any], Tensor]) -> None:
        self.images, self.labels, self.transform = images.numpy(), labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = transforms.functional.to_pil_image(self.images[index].transpose(1, 2, 0))
        return self.transform(picture), self.labels[index]


def training_batches(data: ImageData) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end, augmented as the configuration says."""
    steps = [_as_transform(step, data.size) for step in data.augment.steps]
    if data.augment.mix is not None:
        raise UserError("bench: the usual script does not mix images; choose another augment")
    pictures = Pictures(data.train_images, data.train_labels, _pipeline(data, steps))
    loader: DataLoader = DataLoader(
        pictures, data.batch_size, shuffle=True, drop_last=True, **WORKERS
    )
    while True:
        yield from loader


def test_batches(data: ImageData, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The test set's batches, again and again."""
    pictures = Pictures(data.test_images, data.test_labels, _pipeline(data, []))
    loader: DataLoader = DataLoader(pictures, batch_size, **WORKERS)
    while True:
        yield from loader


def file_batches(data: ImageData, folder: str, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a folder of pictures, again and again."""
    mode = {1: "L", 3: "RGB"}[data.channels]
    load = transforms.Lambda(lambda picture: picture.convert(mode))
    pictures = ImageFolder(folder, transforms.Compose([load, _pipeline(data, [])]))
    loader: DataLoader = DataLoader(pictures, batch_size, **WORKERS)
    while True:
        yield from loader


def _pipeline(data: ImageData, steps: list[nn.Module]) -> Callable[[Any], Tensor]:
    after = [step for step in steps if isinstance(step, transforms.RandomErasing)]
    before = [step for step in steps if step not in after]
    mean, std = (
        values.flatten().tolist() for values in (data.normalization.mean, data.normalization.std)
    )
    normalize = transforms.Normalize(mean, std)
    return transforms.Compose([*before, transforms.ToTensor(), *after, normalize])


def _as_transform(step: Any, size: int) -> nn.Module:
    if isinstance(step, HorizontalFlip):
        return transforms.RandomHorizontalFlip(step.probability)
    if isinstance(step, RandomCrop):
        return transforms.RandomCrop(size, step.padding, padding_mode=step.mode)
    if isinstance(step, BrightnessJitter):
        return transforms.ColorJitter(brightness=step.delta)
    if isinstance(step, Cutout):
        share = min(1.0, (step.size / size) ** 2)
        return transforms.RandomErasing(1.0, (share, share), (1, 1), step.fill)
    raise UserError(f"bench: no transform of torchvision's is known for {type(step).__name__}")
