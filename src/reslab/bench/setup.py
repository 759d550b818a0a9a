"""What every variant begins with: data, device and precision as the configuration has them."""

import torch
from omegaconf import DictConfig

from reslab.config import instantiate
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.runs.build import prepare_data


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


def device_of(cfg: DictConfig) -> torch.device:
    """A GPU where there is one, else the CPU; other kinds are not measured.

    Raises:
        UserError: A GPU is asked for that is not there.
    """
    asked, available = cfg.trainer.accelerator, torch.cuda.is_available()
    if asked in ("gpu", "cuda") and not available:
        raise UserError(f"trainer.accelerator={asked}: torch finds no GPU")
    return torch.device("cuda" if available and asked != "cpu" else "cpu")
