"""What every variant begins with: data, device and precision as the configuration has them."""

import torch
from omegaconf import DictConfig

from reslab.config import instantiate
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.runs.build import prepare_data
from reslab.runs.trainer import device_of


def prepare(cfg: DictConfig, num_images: int | None, half: str) -> ImageData:
    """The data set, its `train` or `test` half repeated or cut to a number of images if asked."""
    if num_images is not None and num_images < cfg.dataset.batch_size:
        raise UserError(
            f"bench.num_images={num_images} is less than one batch of {cfg.dataset.batch_size}"
        )
    data = instantiate(cfg, "dataset")
    prepare_data(data)
    if num_images is not None:
        images, labels = getattr(data, f"{half}_images"), getattr(data, f"{half}_labels")
        chosen = torch.arange(num_images) % len(labels)
        setattr(data, f"{half}_images", images[chosen])
        setattr(data, f"{half}_labels", labels[chosen])
    return data


def measured_device(cfg: DictConfig) -> torch.device:
    """The run's device.

    Raises:
        UserError: It is not there, or of a kind that is not measured.
    """
    device = device_of(cfg)
    if device.type == "mps":
        raise UserError("bench: Apple's MPS is not measured; choose trainer=cpu")
    return device
