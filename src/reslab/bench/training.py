"""Training as it is measured: the usual script, a bare loop over our parts, and reslab itself."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import Callback
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from reslab.bench.script import training_batches
from reslab.bench.stopwatch import Stopwatch
from reslab.callbacks import StopRequest
from reslab.data import ImageData
from reslab.machine import configure_kernels
from reslab.runs.beginning import build_task
from reslab.runs.build import build
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import uses_bf16


def script(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager, PyTorch's default precision, NCHW, two workers, the loss read at every step."""
    task = build_task(cfg)
    network = task.network.to(memory_format=torch.contiguous_format).to(watch.device).train()
    optimization = task.optimization
    if isinstance(optimization.optimizer, partial):
        plain = {k: v for k, v in optimization.optimizer.keywords.items() if k != "fused"}
        optimization.optimizer = partial(optimization.optimizer.func, **plain)
    optimizer, _ = optimization.build(network, cfg.monitor)
    task.weigh_classes(data.train_labels, data.num_classes, watch.device)
    weight, smoothing, loss_sum = task.class_weight, cfg.label_smoothing, 0.0
    for images, labels in training_batches(data):
        images, labels = images.to(watch.device), labels.to(watch.device)
        loss = F.cross_entropy(network(images), labels, weight, label_smoothing=smoothing)
        optimizer.zero_grad()
        loss.backward()
        task.limit_gradients()
        optimizer.step()
        loss_sum += loss.item()
        if watch.step(len(images)):
            return


def loop(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Our network, data path, precision, layout and compilation in a loop of a few lines."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as Lightning does
    deterministic = cfg.trainer.deterministic
    torch.use_deterministic_algorithms(bool(deterministic), warn_only=deterministic == "warn")
    configure_kernels(exact=bool(deterministic))
    task = build_task(cfg)
    network = task.network.to(watch.device).train()
    optimizer, _ = task.optimization.build(network, cfg.monitor)
    task.weigh_classes(data.train_labels, data.num_classes, watch.device)
    task.compile_for(watch.device)
    bf16 = torch.autocast(watch.device.type, torch.bfloat16, enabled=uses_bf16(cfg, watch.device))
    for images, labels in _without_end(data.train_dataloader(), watch.device):
        optimizer.zero_grad()
        with bf16:
            loss, _ = task.loss_and_logits(images, labels)
        loss.backward()
        task.limit_gradients()
        optimizer.step()
        if watch.step(len(images)):
            return


def data_ms_per_step(data: ImageData, device: torch.device) -> float:
    """What our data path takes for a batch where nothing else runs; a second of it is measured."""
    watch = Stopwatch(1.0, device)
    for images, _ in _without_end(data.train_dataloader(), device):
        if watch.step(len(images)):
            break
    return watch.measurement().ms_per_step


class StopAfter(Callback):
    """Tells a stopwatch of every step and ends training when it has seen enough.

    The end of an epoch, with its validation and its files, is no part of a step.
    """

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
        if not trainer.should_stop:
            trainer.should_stop = self.watch.step(trainer.datamodule.batch_size)

    def on_validation_start(self, *arguments: Any) -> None:
        self.watch.pause()

    def on_train_epoch_start(self, *arguments: Any) -> None:
        self.watch.resume()


def reslab(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """A run with every default on: progress bar (as it is in a file), TensorBoard, metrics."""
    OmegaConf.resolve(cfg)  # a schedule is as long as it was
    cfg.patience = cfg.max_steps = None  # the watch alone says when it is enough
    cfg.trainer.max_epochs = 10**6
    OmegaConf.update(cfg, "trainer.limit_val_batches", 1, force_add=True)
    with tempfile.TemporaryDirectory() as folder, StopRequest() as stop:
        directory = RunDirectory(Path(folder) / "run")
        directory.checkpoints.mkdir(parents=True)
        run = build(cfg, directory, stop, first=[StopAfter(watch)])
        run.trainer.fit(run.task, datamodule=data)


def _without_end(loader: Any, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for name in ("images", "labels"):
        setattr(loader, name, getattr(loader, name).to(device))
    loader.normalize.to(device)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader
