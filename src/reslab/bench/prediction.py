"""Inference as it is measured: the usual script, a bare loop over our parts, reslab itself."""

import itertools
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from reslab.bench.script import file_batches, test_batches
from reslab.bench.stopwatch import Stopwatch
from reslab.classifier import Classifier
from reslab.data import ImageData
from reslab.machine import compiled, configure_kernels
from reslab.pictures.decode import decode
from reslab.pictures.find import find_pictures
from reslab.predicting import Engine
from reslab.predicting.predict import Predicted, predict_files
from reslab.preprocess import Preprocessing
from reslab.reports.report import Options, report
from reslab.runs.beginning import build_task
from reslab.runs.description import describe
from reslab.runs.trainer import uses_bf16
from reslab.terminal.reporter import Terminal


def write_pictures(data: ImageData, folder: Path) -> None:
    """The test images as PNG files, a folder a class."""
    for at, (image, label) in enumerate(zip(data.test_images, data.test_labels, strict=True)):
        path = folder / f"{label}/{at:06}.png"
        path.parent.mkdir(exist_ok=True)
        to_pil_image(image).save(path)


def script_of_files(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager, PyTorch's default precision, NCHW, two worker processes that read the files."""
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(data, Path(folder))
        _predict_eagerly(cfg, file_batches(data, folder, cfg.dataset.batch_size), watch)


def loop_of_files(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """As the loop in memory; our decoder reads the next batch in threads meanwhile."""

    def read(path: Path) -> Tensor:
        return decode(path, cfg.dataset.channels, cfg.dataset.size)[0]

    def batches(folder: Path, pool: ThreadPoolExecutor) -> Iterator[Tensor]:
        paths = itertools.cycle(sorted(folder.rglob("*.png")))
        following = [pool.submit(read, next(paths)) for _ in range(cfg.dataset.batch_size)]
        while True:
            batch = following
            following = [pool.submit(read, next(paths)) for _ in batch]
            yield torch.stack([future.result() for future in batch])

    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(torch.get_num_threads()) as pool,
    ):
        write_pictures(data, Path(folder))
        _predict_barely(cfg, data, batches(Path(folder), pool), watch)


def reslab_of_files(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """What `reslab predict` does with a folder, up to the last row of its results."""
    classifier = Classifier(describe("bench", cfg, data), _engine(cfg, data, watch.device))
    size = cfg.dataset.batch_size
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as output:
        write_pictures(data, Path(folder))
        found = itertools.chain.from_iterable(
            find_pictures([Path(folder)]) for _ in itertools.count()
        )

        def until_seen_enough() -> Iterator[Predicted]:
            for at, one in enumerate(predict_files(classifier, found, size), 1):
                yield one
                if at % size == 0 and watch.step(size):
                    return

        total = len(data.test_images)
        description = classifier.description
        report(until_seen_enough(), total, description, Options(), Path(output), Terminal())


def script(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Eager, PyTorch's default precision, NCHW, two worker processes."""
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


def loop(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """Our network, precision, layout and compilation in a loop of a few lines."""
    images, size = data.test_images, cfg.dataset.batch_size
    whole = len(images) - len(images) % size or len(images)  # no batch of another shape
    _predict_barely(cfg, data, itertools.cycle(images[:whole].split(size)), watch)


def _predict_barely(
    cfg: DictConfig, data: ImageData, batches: Iterator[Tensor], watch: Stopwatch
) -> None:
    network = build_task(cfg).network.to(watch.device).eval()
    prepare = Preprocessing(data.size, data.normalization).to(watch.device)
    configure_kernels(exact=bool(cfg.trainer.deterministic))
    bf16 = torch.autocast(watch.device.type, torch.bfloat16, enabled=uses_bf16(cfg, watch.device))

    def compute(images: Tensor) -> Tensor:
        return network(prepare(images)).float()

    forward = compiled(compute, watch.device) if cfg.trainer.compile else compute
    with torch.inference_mode(), bf16:
        for images in batches:
            forward(images.to(watch.device)).cpu()
            if watch.step(len(images)):
                return


def reslab(cfg: DictConfig, data: ImageData, watch: Stopwatch) -> None:
    """The engine that `reslab predict` uses, on images in memory."""
    engine = _engine(cfg, data, watch.device)
    while True:
        for images in data.test_images.split(cfg.dataset.batch_size):
            engine(images)
            if watch.step(len(images)):
                return


def _engine(cfg: DictConfig, data: ImageData, device: torch.device) -> Engine:
    configure_kernels(exact=bool(cfg.trainer.deterministic))
    return Engine(
        build_task(cfg).network,
        Preprocessing(data.size, data.normalization),
        device,
        bf16=uses_bf16(cfg, device),
        batch_size=cfg.dataset.batch_size,
        compile=bool(cfg.trainer.compile),
    )
