"""From a configuration to the objects that train and evaluate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig

from reslab.callbacks import History, Progress, StopRequest, TensorBoard
from reslab.config import instantiate, suggest
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.nn.summary import count_macs
from reslab.runs.checkpoint import VerifiedCheckpointIO
from reslab.runs.environment import supports_bf16
from reslab.runs.identity import hashed_config, identity
from reslab.runs.saving import SaveCheckpoints, is_better
from reslab.runs.store import RunDirectory
from reslab.task import ImageClassifier

MONITORS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


class EarlyStop(EarlyStopping):
    """Early stopping that stays stopped when a run is resumed after its last epoch."""

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience


@dataclass(frozen=True)
class Run:
    """All that a run needs; nothing in it knows the configuration."""

    data: ImageData
    task: ImageClassifier
    macs: int
    trainer: Trainer
    history: History
    checkpoints: SaveCheckpoints
    tensorboard: TensorBoard | None


def build(cfg: DictConfig, directory: RunDirectory, stop: StopRequest) -> Run:
    """Builds a run, no data read yet.

    Raises:
        UserError: A value is wrong; the message names its field.
    """
    check(cfg)
    data = instantiate(cfg, "dataset")
    task = build_task(cfg)
    macs = _try_network(task, data)
    history = History(directory.metrics_file)
    checkpoints = SaveCheckpoints(
        directory.latest,
        directory.best,
        cfg.monitor,
        cfg.checkpoint_every,
        {"identity": identity(cfg), "config": hashed_config(cfg)},
        stop,
    )
    tensorboard = instantiate(cfg, "logger", folder=directory.path) if cfg.logger else None
    callbacks: list[Callback] = [stop, history, checkpoints]
    if tensorboard:
        callbacks.append(tensorboard)
    if cfg.patience is not None:
        mode = "max" if is_better(cfg.monitor, 1, 0) else "min"
        callbacks.append(
            EarlyStop(cfg.monitor, patience=cfg.patience, mode=mode, check_on_train_epoch_end=False)
        )
    if cfg.trainer.enable_progress_bar:
        callbacks.append(Progress())
    trainer = build_trainer(cfg, callbacks, directory.path)
    return Run(data, task, macs, trainer, history, checkpoints, tensorboard)


def build_task(cfg: DictConfig) -> ImageClassifier:
    """The seeded network with its optimization, on the CPU."""
    seed_everything(cfg.seed, verbose=False)
    network = instantiate(cfg, "model").to(memory_format=torch.channels_last)
    optimization = instantiate(cfg, "optimizer")
    try:
        return ImageClassifier(network, optimization, cfg.label_smoothing, cfg.monitor)
    except ValueError as error:
        raise UserError(str(error)) from error


def _try_network(task: ImageClassifier, data: ImageData) -> int:
    """The network's multiply-accumulates for one of the images, if it takes them."""
    try:
        return count_macs(task.network, data.image_shape)
    except RuntimeError as error:
        shape = "x".join(map(str, data.image_shape))
        raise UserError(
            f"model does not take images of {shape}: {error}; raise dataset.size"
        ) from error


def build_trainer(cfg: DictConfig, callbacks: list[Callback], folder: Path) -> Trainer:
    """Lightning's trainer; what `precision: auto` means is settled here, on this machine."""
    arguments = {
        "callbacks": callbacks,
        "plugins": [VerifiedCheckpointIO()],
        "default_root_dir": str(folder),
        "logger": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    if cfg.trainer.precision == "auto":
        trainer = instantiate(cfg, "trainer", precision="32-true", **arguments)
        if not supports_bf16(trainer.strategy.root_device):
            return trainer
        return instantiate(cfg, "trainer", precision="bf16-mixed", **arguments)
    return instantiate(cfg, "trainer", **arguments)


def check(cfg: DictConfig) -> None:
    """Refuses what no constructor below would refuse, or only after the data is read."""
    if cfg.monitor not in MONITORS:
        raise UserError(f"monitor={cfg.monitor}: not a metric{suggest(str(cfg.monitor), MONITORS)}")
    epochs = cfg.trainer.max_epochs
    if not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"trainer.max_epochs must be at least 1, got {epochs}")
    if cfg.patience is not None and (not isinstance(cfg.patience, int) or cfg.patience < 1):
        raise UserError(f"patience must be at least 1, or null for never, got {cfg.patience}")
    if not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**32:
        raise UserError(f"seed must be a whole number from 0 to 4294967295, got {cfg.seed}")
    if cfg.resume not in ("auto", "must"):
        raise UserError(f"resume must be auto or must, got {cfg.resume}")
    if not cfg.checkpoint_every >= 0:
        raise UserError(f"checkpoint_every must not be negative, got {cfg.checkpoint_every}")
