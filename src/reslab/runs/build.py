"""From a configuration to the objects that train and evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass

from lightning.pytorch import Callback, Trainer
from omegaconf import DictConfig

from reslab import ranks
from reslab.callbacks import (
    Gradients,
    History,
    LearnWhitening,
    ShowProgress,
    StepLimit,
    StopRequest,
    TensorBoard,
)
from reslab.config import instantiate, refusal
from reslab.data import ImageData
from reslab.lightning_bypass import EarlyStop, drop_idle_hooks
from reslab.reporter import SILENT, Reporter
from reslab.runs.beginning import build_task
from reslab.runs.check import try_network
from reslab.runs.devices import check_shares, prepare_network
from reslab.runs.identity import hashed_config, identity
from reslab.runs.saving import SaveCheckpoints
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import build_trainer
from reslab.task import ImageClassifier


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
    cfg: DictConfig,
    directory: RunDirectory,
    stop: StopRequest,
    reporter: Reporter = SILENT,
    first: Sequence[Callback] = (),
) -> Run:
    """Builds a run from a configuration that was checked, no data read yet.

    Of the processes of one run, the first alone has the callbacks that write.

    Args:
        cfg: The configuration.
        directory: The run's directory.
        stop: Is asked whether to stop.
        reporter: Is told what a person should know.
        first: Callbacks that are called before the run's own.

    Raises:
        UserError: A value is wrong; the message names its field.
    """
    check_shares(cfg)
    data = instantiate(cfg, "dataset")
    task = build_task(cfg)
    task.reporter = reporter
    macs = sum(layer.macs for layer in try_network(cfg, task.network))
    if cfg.dataset.get("small_size") is not None:
        try_network(cfg, task.network, "dataset.small_size")
    prepare_network(cfg, task)
    history = History(directory.metrics_file)
    checkpoints = SaveCheckpoints(
        directory.latest,
        directory.best,
        cfg.monitor,
        cfg.checkpoint_every,
        {"identity": identity(cfg), "config": hashed_config(cfg)},
        stop,
        directory.state_kept if cfg.keep_state else None,
    )
    quiet = cfg.trainer.get("quiet")
    tensorboard = None
    if cfg.logger and not quiet and ranks.is_first():
        tensorboard = instantiate(cfg, "logger", folder=directory.path, history=history)
    callbacks: list[Callback] = [*first, stop, checkpoints]
    if ranks.is_first():
        callbacks.append(history)
    callbacks.append(LearnWhitening())  # whose time counts
    if tensorboard:
        callbacks.append(tensorboard)
    if cfg.patience is not None:
        callbacks.append(EarlyStop(cfg.monitor, cfg.patience))
    if cfg.max_steps is not None:
        callbacks.append(StepLimit(cfg.max_steps))
    if ranks.is_first():
        callbacks.append(Gradients(directory.gradients_file))  # after what may stop training
        bar = bool(cfg.trainer.enable_progress_bar) and not quiet
        callbacks.append(ShowProgress(directory.progress_file, bar=bar, max_steps=cfg.max_steps))
    trainer = build_trainer(cfg, callbacks, directory.path)
    drop_idle_hooks(task, callbacks)
    return Run(data, task, macs, trainer, history, checkpoints, tensorboard)


def prepare_data(data: ImageData, reporter: Reporter = SILENT, *, to_train: bool = True) -> None:
    """Fetches, verifies and decodes.

    Args:
        data: The data set.
        reporter: Told how far it is.
        to_train: Whether to look that there is a first batch, too.

    Raises:
        UserError: The files are not the official ones, or not what the configuration says, or
            nothing can be trained on them.
    """
    data.reporter = reporter
    try:
        data.prepare_data()
        data.setup()
        if to_train:
            next(iter(data.train_dataloader()))
    except (ValueError, RuntimeError, TypeError, AssertionError, EOFError, KeyError) as error:
        raise refusal(error, "dataset or augment") from error
