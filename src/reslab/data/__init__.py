"""From a data set's official files to batches on the device."""

from reslab.data.augment import Augment, BrightnessJitter, Cutout, HorizontalFlip, RandomCrop
from reslab.data.folder import FolderData
from reslab.data.module import ImageData
from reslab.data.sources import DigitsSource, FetchingSource, ImageArrays, TorchvisionSource

__all__ = [
    "Augment",
    "BrightnessJitter",
    "Cutout",
    "DigitsSource",
    "FetchingSource",
    "FolderData",
    "HorizontalFlip",
    "ImageArrays",
    "ImageData",
    "RandomCrop",
    "TorchvisionSource",
]
