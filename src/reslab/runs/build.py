"""From a configuration to the objects that train and evaluate."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig

from reslab.callbacks import Gradients, History, ShowProgress, StepLimit, StopRequest, TensorBoard
from reslab.config import instantiate, refusal
from reslab.data import ImageData
from reslab.optim import better_is
from reslab.reporter import SILENT, Reporter
from reslab.runs.identity import hashed_config, identity
from reslab.runs.request import try_network
from reslab.runs.saving import SaveCheckpoints
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import THE_TASK_S, build_trainer
from reslab.task import ImageClassifier

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def drop_idle_hooks(task: LightningModule, callbacks: list[Callback]) -> None:
    """Has Lightning pass over what is not defined, at every step: 300 us, all in all."""
    for one, base in [(task, LightningModule), *((callback, Callback) for callback in callbacks)]:
        for hook in STEP_HOOKS:
            if getattr(type(one), hook) is getattr(base, hook):
                setattr(one, hook, None)


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


def build(
    cfg: DictConfig, directory: RunDirectory, stop: StopRequest, reporter: Reporter = SILENT
) -> Run:
    """Builds a run from a configuration that was checked, no data read yet.

    Raises:
        UserError: A value is wrong; the message names its field.
    """
    data = instantiate(cfg, "dataset")
    task = build_task(cfg)
    task.reporter = reporter
    macs = sum(layer.macs for layer in try_network(cfg, task.network))
    history = History(directory.metrics_file)
    checkpoints = SaveCheckpoints(
        directory.latest,
        directory.best,
        cfg.monitor,
        cfg.checkpoint_every,
        {"identity": identity(cfg), "config": hashed_config(cfg)},
        stop,
    )
    quiet = cfg.trainer.get("quiet")
    tensorboard = (
        instantiate(cfg, "logger", folder=directory.path) if cfg.logger and not quiet else None
    )
    callbacks: list[Callback] = [stop, history, checkpoints]
    if tensorboard:
        callbacks.append(tensorboard)
    if cfg.patience is not None:
        mode = better_is(cfg.monitor)
        callbacks.append(
            EarlyStop(cfg.monitor, patience=cfg.patience, mode=mode, check_on_train_epoch_end=False)
        )
    if cfg.max_steps is not None:
        callbacks.append(StepLimit(cfg.max_steps))
    callbacks.append(Gradients(directory.gradients_file))  # after what may stop training
    bar = bool(cfg.trainer.enable_progress_bar) and not quiet
    callbacks.append(ShowProgress(directory.progress_file, bar=bar, max_steps=cfg.max_steps))
    trainer = build_trainer(cfg, callbacks, directory.path)
    drop_idle_hooks(task, callbacks)
    return Run(data, task, macs, trainer, history, checkpoints, tensorboard)


def build_task(cfg: DictConfig) -> ImageClassifier:
    """The seeded network with its optimization, on the CPU."""
    seed_everything(cfg.seed, verbose=False)
    network = instantiate(cfg, "model").to(memory_format=torch.channels_last)
    optimization = instantiate(cfg, "optimizer")
    try:
        optimization.build(network, cfg.monitor)
    except Exception as error:
        raise refusal(error, "optimizer", cfg) from error
    return ImageClassifier(
        network,
        optimization,
        cfg.label_smoothing,
        cfg.monitor,
        **{key: cfg.trainer.get(key) for key in THE_TASK_S},
    )


def prepare_data(data: ImageData) -> None:
    """Fetches, verifies and decodes.

    Raises:
        UserError: The files are not the official ones, or not what the configuration says.
    """
    try:
        data.prepare_data()
        data.setup()
        next(iter(data.train_dataloader()))
    except (ValueError, RuntimeError, TypeError, AssertionError, EOFError, KeyError) as error:
        raise refusal(error, "dataset or augment") from error
