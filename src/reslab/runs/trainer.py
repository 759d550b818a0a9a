"""Lightning's trainer, as a run has it built."""

from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig, OmegaConf

from reslab.config import instantiate
from reslab.errors import UserError
from reslab.machine import configure_kernels, supports_bf16
from reslab.runs.options import NOT_LIGHTNING_S, REFUSED
from reslab.runs.saving import VerifiedCheckpointIO


def build_trainer(cfg: DictConfig, callbacks: list[Callback], folder: Path) -> Trainer:
    """Lightning's trainer; what `precision: auto` means is settled here, on this machine.

    Raises:
        UserError: An option has no such value.
    """
    keys = [key for key in cfg.trainer if key not in (*NOT_LIGHTNING_S, *REFUSED)]
    cfg = OmegaConf.create({"trainer": OmegaConf.masked_copy(cfg.trainer, keys)})
    configure_kernels(exact=bool(cfg.trainer.deterministic))
    arguments = {
        "callbacks": callbacks,
        "plugins": [VerifiedCheckpointIO()],
        "default_root_dir": str(folder),
        "logger": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,  # ours is a callback like others
        "num_sanity_val_steps": 0,
    }
    if cfg.trainer.precision == "auto":
        trainer = instantiate(cfg, "trainer", precision="32-true", **arguments)
        if not uses_bf16(cfg, trainer.strategy.root_device):
            return trainer
        return instantiate(cfg, "trainer", precision="bf16-mixed", **arguments)
    trainer = instantiate(cfg, "trainer", **arguments)
    if trainer.precision != cfg.trainer.precision:  # Lightning takes another, with a warning
        kind = trainer.strategy.root_device.type
        raise UserError(f"trainer.precision={cfg.trainer.precision} is not to be had on {kind}")
    return trainer


def uses_bf16(cfg: DictConfig, device: torch.device) -> bool:
    """Whether a device computes in bf16; `precision: auto` is bf16 where the hardware has it."""
    if cfg.trainer.precision == "auto":
        return supports_bf16(device)
    return cfg.trainer.precision == "bf16-mixed"
