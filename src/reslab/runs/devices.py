"""What several devices mean for a run: who has which share, and what its network then is."""

from typing import Any

import numpy as np
from lightning.pytorch import seed_everything
from omegaconf import DictConfig
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from reslab import ranks
from reslab.errors import UserError
from reslab.runs.trainer import device_of
from reslab.task import ImageClassifier

SYNCHRONIZED, PER_DEVICE = "synchronized", "per device"


def check_shares(cfg: DictConfig) -> None:
    """Refuses a number of processes that is not what was asked for, or that cannot share a batch.

    Raises:
        UserError: The message says what to choose instead.
    """
    here, devices = ranks.local_number(), cfg.trainer.get("devices", "auto")
    if cfg.trainer.get("strategy") == "ddp" and devices not in ("auto", here):
        raise UserError(f"trainer.devices={devices}: there is a process for {here}; give {here}")
    check_divides(cfg, ranks.number())


def check_divides(cfg: DictConfig, number: int) -> None:
    """Refuses a batch that so many processes cannot share alike.

    Raises:
        UserError: The message says what to choose instead.
    """
    size = cfg.dataset.batch_size
    if size % number:
        larger = size + -size % number
        raise UserError(
            f"dataset.batch_size={size} cannot be shared by {number} devices alike: choose a "
            f"multiple of {number}, such as {larger}, or other trainer.devices"
        )


def prepare_network(cfg: DictConfig, task: ImageClassifier) -> None:
    """Readies a network whose batches several devices share, in place; alone does nothing.

    From here on each draws random numbers of its own, since another share is to meet another
    dropout.

    Raises:
        UserError: BatchNorm's statistics cannot be synchronized here.
    """
    if ranks.number() == 1:
        return
    on_gpu, asked = device_of(cfg).type == "cuda", cfg.trainer.get("sync_batchnorm")
    if asked and not on_gpu:
        raise UserError("trainer.sync_batchnorm=true is to be had on GPUs alone: leave it out")
    if _has_batch_norm(task.network) and on_gpu and asked is not False:
        if task.compile_training:
            raise UserError(
                "trainer.compile=true: what is compiled cannot wait for other devices' BatchNorm; "
                "add trainer.sync_batchnorm=false"
            )
        task.compile_training = False
        task.network = nn.SyncBatchNorm.convert_sync_batchnorm(task.network)
    if not ranks.is_first():
        seeds = np.random.SeedSequence((cfg.seed, ranks.rank()))
        seed_everything(int(seeds.generate_state(1)[0]), verbose=False)


def describe_devices(network: nn.Module) -> dict[str, Any]:
    """What a result may depend on where several devices made it; of one there is nothing to say."""
    if ranks.number() == 1:
        return {}
    return {"world_size": ranks.number(), "batch_norm": _batch_norm(network)}


def _batch_norm(network: nn.Module) -> str | None:
    """Over what images BatchNorm's statistics are, None without it."""
    if not _has_batch_norm(network):
        return None
    is_synchronized = any(isinstance(layer, nn.SyncBatchNorm) for layer in network.modules())
    return SYNCHRONIZED if is_synchronized else PER_DEVICE


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(layer, _BatchNorm) for layer in network.modules())
