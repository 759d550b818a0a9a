"""What is measured: the usual script, a bare loop over our parts, and reslab itself.

Each runs in a process of its own: `python -m reslab.bench.variants TASK VARIANT REQUEST`.
"""

import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import Callback
from omegaconf import DictConfig
from torch import Tensor
from torchvision.io import decode_image
from torchvision.transforms.v2.functional import to_pil_image

from reslab.bench.script import file_batches, test_batches, training_batches
from reslab.bench.stopwatch import Stopwatch
from reslab.callbacks import StopRequest
from reslab.config import add_folder, compose, instantiate
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.inference import Engine
from reslab.inference.find import find_pictures
from reslab.inference.model import Model
from reslab.inference.predict import Predicted, predict_files
from reslab.inference.report import Options, report
from reslab.runs.build import build, build_task, configure_kernels, prepare_data
from reslab.runs.environment import describe_environment, reset_peak_memory, supports_bf16
from reslab.runs.load import Description
from reslab.runs.store import RunDirectory


def prepare(cfg: DictConfig, num_images: int | None) -> ImageData:
    """The data set, its halves repeated or cut to a number of images if one is asked for."""
    if num_images is not None and num_images < cfg.dataset.batch_size:
        raise UserError(
            f"bench.num_images={num_images} is less than one batch of {cfg.dataset.batch_size}"
        )
    data = instantiate(cfg, "dataset")
    prepare_data(data)
    if num_images is not None:
        for half in ("train", "test"):
            images, labels = getattr(data, f"{half}_images"), getattr(data, f"{half}_labels")
            chosen = torch.arange(num_images) % len(labels)
            setattr(data, f"{half}_images", images[chosen])
            setattr(data, f"{half}_labels", labels[chosen])
    return data


def train_script(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager fp32, NCHW, two worker processes, the loss read at every step."""
    task = build_task(cfg)
    network = task.network.to(memory_format=torch.contiguous_format).to(watch.device).train()
    optimization = task.optimization
    if isinstance(optimization.optimizer, partial):
        plain = {k: v for k, v in optimization.optimizer.keywords.items() if k != "fused"}
        optimization.optimizer = partial(optimization.optimizer.func, **plain)
    optimizer, _ = optimization.build(network, cfg.monitor)
    loss_sum = 0.0
    for images, labels in training_batches(data):
        images, labels = images.to(watch.device), labels.to(watch.device)
        loss = F.cross_entropy(network(images), labels, label_smoothing=cfg.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.item()
        if watch.step(len(images)):
            return


def train_loop(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Our network, data path, precision, layout and compilation in a loop of a few lines."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as Lightning does
    torch.use_deterministic_algorithms(cfg.trainer.deterministic)
    configure_kernels(cfg)
    task = build_task(cfg)
    network = task.network.to(watch.device).train()
    optimizer, _ = task.optimization.build(network, cfg.monitor)
    task.compile_for(watch.device)
    for images, labels in _without_end(data.train_dataloader(), watch.device):
        optimizer.zero_grad()
        with torch.autocast(watch.device.type, torch.bfloat16, enabled=_bf16(cfg, watch.device)):
            loss, _ = task.loss_and_logits(images, labels)
        loss.backward()
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
    """Tells a stopwatch of every step and ends training when it has seen enough."""

    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def on_train_batch_end(self, trainer: Any, *arguments: Any) -> None:
        if not trainer.should_stop:
            trainer.should_stop = self.watch.step(trainer.datamodule.batch_size)


def train_reslab(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """A run with every default on: progress bar, TensorBoard, record, checkpoints."""
    cfg.patience = None  # the watch alone says when it is enough
    with tempfile.TemporaryDirectory() as folder, StopRequest() as stop:
        directory = RunDirectory(Path(folder) / "run")
        directory.checkpoints.mkdir(parents=True)
        run = build(cfg, directory, stop)
        # Validation is no part of a step, and the last epoch is not to end before the watch.
        run.trainer.limit_val_batches, run.trainer.fit_loop.max_epochs = 1, 10**6
        callbacks: list[Callback] = getattr(run.trainer, "callbacks")  # noqa: B009
        callbacks.insert(0, StopAfter(watch))
        run.trainer.fit(run.task, datamodule=data)


def write_pictures(data: ImageData, folder: Path) -> None:
    """The test images as PNG files, a folder a class."""
    for at, (image, label) in enumerate(zip(data.test_images, data.test_labels, strict=True)):
        path = folder / f"{label}/{at:06}.png"
        path.parent.mkdir(exist_ok=True)
        to_pil_image(image).save(path)


def predict_files_script(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager fp32, NCHW, two worker processes that read the files."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(data, Path(folder))
        _predict_eagerly(cfg, file_batches(data, folder, cfg.dataset.batch_size), watch)


def predict_files_loop(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Our network, precision and layout; files are read between its steps."""
    network = build_task(cfg).network.to(watch.device).eval()
    normalize = data.normalization.to(watch.device)
    bf16 = torch.autocast(watch.device.type, torch.bfloat16, enabled=_bf16(cfg, watch.device))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(), bf16:
        write_pictures(data, Path(folder))
        paths = itertools.cycle(sorted(Path(folder).rglob("*.png")))
        while True:
            batch = list(itertools.islice(paths, cfg.dataset.batch_size))
            images = torch.stack([decode_image(str(path)) for path in batch]).to(watch.device)
            network(normalize(images.float() / 255)).float().cpu()
            if watch.step(len(images)):
                return


def predict_files_reslab(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """What `reslab predict` does with a folder, up to the last row of its results."""
    model = Model(_describe(cfg, data), _engine(cfg, data, watch.device))
    size = cfg.dataset.batch_size
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as output:
        write_pictures(data, Path(folder))
        found = itertools.chain.from_iterable(
            find_pictures([Path(folder)]) for _ in itertools.count()
        )

        def until_seen_enough() -> Iterator[Predicted]:
            for at, one in enumerate(predict_files(model, found, size), 1):
                yield one
                if at % size == 0 and watch.step(size):
                    return

        total = len(data.test_images)
        report(until_seen_enough(), total, model.description, Options(), Path(output))


def predict_script(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager fp32, NCHW, two worker processes."""
    _predict_eagerly(cfg, test_batches(data, cfg.dataset.batch_size), watch)


def _predict_eagerly(
    cfg: DictConfig, batches: Iterator[tuple[Tensor, Tensor]], watch: Stopwatch
) -> None:
    network = build_task(cfg).network.to(memory_format=torch.contiguous_format)
    network.to(watch.device).eval()
    with torch.no_grad():
        for images, _ in batches:
            network(images.to(watch.device)).cpu()
            if watch.step(len(images)):
                return


def predict_loop(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Our network, data path, precision and layout in a loop of a few lines."""
    network = build_task(cfg).network.to(watch.device).eval()
    normalize = data.normalization.to(watch.device)
    bf16 = torch.autocast(watch.device.type, torch.bfloat16, enabled=_bf16(cfg, watch.device))
    with torch.inference_mode(), bf16:
        while True:
            for images in data.test_images.split(cfg.dataset.batch_size):
                network(normalize(images.to(watch.device).float() / 255)).float().cpu()
                if watch.step(len(images)):
                    return


def predict_reslab(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """The engine that `reslab predict` uses, on images in memory."""
    engine = _engine(cfg, data, watch.device)
    while True:
        for images in data.test_images.split(cfg.dataset.batch_size):
            engine(images)
            if watch.step(len(images)):
                return


def _engine(cfg: DictConfig, data: ImageData, device: torch.device) -> Engine:
    return Engine(
        build_task(cfg).network,
        data.normalization,
        cfg.dataset.size,
        device,
        bf16=_bf16(cfg, device),
        batch_size=cfg.dataset.batch_size,
    )


def _describe(cfg: DictConfig, data: ImageData) -> Description:
    mean, std = (
        tuple(values.flatten().tolist())
        for values in (data.normalization.mean, data.normalization.std)
    )
    size = cfg.dataset.size
    names, channels = data.class_names, cfg.dataset.channels
    return Description("bench", str(data.name), names, channels, size, mean, std, False, {}, None)


VARIANTS: dict[str, dict[str, Callable[[DictConfig, ImageData, Stopwatch], None]]] = {
    "train": {"script": train_script, "loop": train_loop, "reslab": train_reslab},
    "predict files": {
        "script": predict_files_script,
        "loop": predict_files_loop,
        "reslab": predict_files_reslab,
    },
    "predict": {"script": predict_script, "loop": predict_loop, "reslab": predict_reslab},
}


def _without_end(loader: Any, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    for name in ("images", "labels"):
        setattr(loader, name, getattr(loader, name).to(device))
    loader.normalize.to(device)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader


def _bf16(cfg: DictConfig, device: torch.device) -> bool:
    if cfg.trainer.precision == "auto":
        return supports_bf16(device)
    return cfg.trainer.precision == "bf16-mixed"


def _device(cfg: DictConfig) -> torch.device:
    gpu = cfg.trainer.accelerator in ("gpu", "cuda")
    gpu = gpu or (cfg.trainer.accelerator == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")


def measure(task: str, variant: str, request: dict[str, Any]) -> dict[str, Any]:
    """Runs one variant in this process; gives what was measured and in which environment.

    Of the loop that trains it also says what the data path alone takes.

    Args:
        task: `train` or `predict`.
        variant: `script`, `loop` or `reslab`.
        request: `overrides` of the configuration, `seconds` to measure, `num_images` or None,
            `files`, and the user's own `folders` with configuration groups.
    """
    for folder in request["folders"]:
        add_folder(Path(folder))
    cfg = compose(request["overrides"])
    device = _device(cfg)
    data = prepare(cfg, request["num_images"])
    reset_peak_memory(device)
    watch = Stopwatch(request["seconds"], device)
    VARIANTS[f"{task} files" if request["files"] else task][variant](cfg, data, watch)
    precision = "bf16-mixed" if _bf16(cfg, device) else "32-true"
    measured = asdict(watch.measurement())
    measured["environment"] = describe_environment(device, precision)
    if (task, variant) == ("train", "loop"):
        measured["data_ms_per_step"] = data_ms_per_step(data, device)
    return measured


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
