"""Lightning's trainer, as a run has it built."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf

from reslab import ranks
from reslab.config import instantiate
from reslab.errors import UserError
from reslab.machine import choose_device, configure_kernels, supports_bf16
from reslab.runs.options import NOT_LIGHTNING_S, REFUSED, chosen_number
from reslab.runs.saving import VerifiedCheckpointIO


def build_trainer(cfg: DictConfig, callbacks: list[Callback], folder: Path) -> Trainer:
    """Lightning's trainer, its device and precision settled on this machine.

    Raises:
        UserError: An option has no such value, here.
    """
    device = device_of(cfg)
    if device.type == "mps" and cfg.trainer.deterministic is True:
        raise UserError(
            "trainer.deterministic=true (trainer=exact) is not to be had on Apple's MPS, which has "
            "no such algorithms: add trainer.accelerator=cpu"
        )
    precision = precision_of(cfg, device)
    keys = [key for key in cfg.trainer if key not in (*NOT_LIGHTNING_S, *REFUSED)]
    options = OmegaConf.create({"trainer": OmegaConf.masked_copy(cfg.trainer, keys)})
    configure_kernels(exact=bool(cfg.trainer.deterministic))
    trainer = instantiate(
        options,
        "trainer",
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        precision=precision,
        callbacks=callbacks,
        # Lightning sees one process on one device, whatever has started it (see `ranks`): SLURM's
        # environment would put a handler and a checkpoint of its own into a run within a job.
        plugins=[VerifiedCheckpointIO(), LightningEnvironment()],
        default_root_dir=str(folder),
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,  # ours is a callback like others
        num_sanity_val_steps=0,
    )
    if trainer.precision != precision:  # Lightning takes another, with a warning
        raise UserError(f"trainer.precision={precision} is not to be had on {device.type}")
    return trainer


def device_of(cfg: DictConfig) -> torch.device:
    """The one device of this process.

    Raises:
        UserError: This machine does not have it.
    """
    accelerator, devices = (cfg.trainer.get(key, "auto") for key in ("accelerator", "devices"))
    device = choose_device(str(accelerator), f"trainer.accelerator={accelerator}")
    asked = f"trainer.devices={devices}"
    if ranks.number() > 1:
        return _device_of_a_share(device.type, asked)
    if (which := chosen_number(devices)) is None:
        return device
    if device.type != "cuda":
        raise UserError(f"{asked}: says which GPU, and the run is on {device.type}; give 1")
    return choose_device(f"cuda:{which}", asked)


def _device_of_a_share(kind: str, asked: str) -> torch.device:
    """That of one of several processes, as each counts its machine's."""
    if kind != "cuda":
        return torch.device("cpu")
    processes, gpus = ranks.local_number(), torch.cuda.device_count()
    if processes > gpus:
        raise UserError(
            f"trainer=ddp has a process on each GPU, and here are {processes} processes for {gpus} "
            f"GPU{'s' if gpus > 1 else ''}: give torchrun --nproc-per-node={gpus}, or add "
            f"trainer.accelerator=cpu"
        )
    return choose_device(f"cuda:{ranks.local_rank()}", asked)


def precision_of(cfg: DictConfig, device: torch.device) -> str:
    """In which precision a device computes; `auto` is bf16 where the hardware has it."""
    if cfg.trainer.precision == "auto":
        return "bf16-mixed" if supports_bf16(device) else "32-true"
    return cfg.trainer.precision


def uses_bf16(cfg: DictConfig, device: torch.device) -> bool:
    """Whether that is bf16."""
    return precision_of(cfg, device) == "bf16-mixed"
