"""From files to probabilities: decoding in threads, ahead of the network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.classifier import Classifier
from reslab.errors import UserError
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode
from reslab.pictures.find import Found
from reslab.predicting.engine import Engine

Labels = Callable[[Path], int | None]  # the class of a file, None where it has none

CHUNK = 16  # files that a thread decodes at a time


@dataclass(frozen=True)
class Predicted:
    """What is known of one file.

    Attributes:
        path: The file.
        image: The picture as the network saw it, uint8 `[C, S, S]`.
        probabilities: Softmax `[K]`.
        notes: What was done to the picture that changes what it shows.
        problem: Why there is no prediction; the three above are then empty.
        label: The number of its class, if that is known.
        heat: How much each place of the picture speaks for the likeliest class, from 0 to 1, float
            `[S, S]`; None where it was not asked for.
    """

    path: Path
    label: int | None = None
    image: Tensor | None = None
    probabilities: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None
    heat: Tensor | None = None


def predict_files(
    classifier: Classifier,
    pictures: Iterable[Found],
    batch_size: int,
    *,
    mirror: bool = False,
    grad_cam: bool = False,
    labels: Labels | None = None,
) -> Iterator[Predicted]:
    """Predicts pictures in their order; memory does not grow with their number.

    Args:
        classifier: The network.
        pictures: The files.
        batch_size: Pictures computed at once.
        mirror: Whether to average over each picture and its mirror image.
        grad_cam: Whether to find where in each picture its class is seen.
        labels: What gives a file's class.

    Raises:
        UserError: Nothing but the answers is known of this network.
    """
    batch: list[Predicted] = []
    for one in _decoded(classifier, pictures, labels or (lambda path: None), batch_size):
        batch.append(one)
        if len(batch) == batch_size:
            yield from _ask(classifier, batch, mirror, grad_cam)
            batch = []
    yield from _ask(classifier, batch, mirror, grad_cam)


def _decoded(
    classifier: Classifier, pictures: Iterable[Found], labels: Labels, num_ahead: int
) -> Iterator[Predicted]:
    """Decodes in threads, a few files a piece, up to `num_ahead` files before they are needed."""
    workers = torch.get_num_threads()  # the cores that this process may use
    decode_all = partial(_decode_all, classifier=classifier, labels=labels)
    pictures = iter(pictures)
    ahead: deque[Future[list[Predicted]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while chunk := list(islice(pictures, CHUNK)):
            ahead.append(pool.submit(decode_all, chunk))
            if len(ahead) > workers + num_ahead // CHUNK:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def predict_arrays(
    classifier: Classifier,
    name: str,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    *,
    mirror: bool = False,
    grad_cam: bool = False,
) -> Iterator[Predicted]:
    """Predicts uint8 `[N, C, S, S]` with labels `[N]`, as if they were files `<name>/<number>`."""
    start = 0
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    for batch, truths in batches:
        numbered = enumerate(zip(batch, truths.tolist(), strict=True), start)
        yield from _ask(
            classifier,
            [Predicted(Path(f"{name}/{at:05}"), truth, image) for at, (image, truth) in numbered],
            mirror,
            grad_cam,
        )
        start += len(batch)


def _decode_all(chunk: list[Found], classifier: Classifier, labels: Labels) -> list[Predicted]:
    channels, size = classifier.description.channels, classifier.description.size
    decoded = []
    for found in chunk:
        label, problem = None, found.problem
        if problem is None:
            label = labels(found.path)
            try:
                image, notes = decode(found.path, channels, size)
                decoded.append(Predicted(found.path, label, image, notes=tuple(notes)))
                continue
            except BadPictureError as error:
                problem = str(error)
        decoded.append(Predicted(found.path, label, problem=problem))
    return decoded


def _ask(
    classifier: Classifier, decoded: list[Predicted], mirror: bool, grad_cam: bool
) -> Iterator[Predicted]:
    images = [one.image for one in decoded if one.image is not None]
    probabilities: Iterator[np.ndarray] = iter(())
    heats: Iterator[Tensor | None] = iter(())
    if images:
        stacked = torch.stack(images)
        shares = classifier.probabilities(stacked, mirror)
        probabilities = iter(shares.numpy())
        found = _heats(classifier, stacked, shares.argmax(1)) if grad_cam else [None] * len(images)
        heats = iter(found)
    for one in decoded:
        if one.image is None:
            yield one
            continue
        share, heat = next(probabilities), next(heats)
        if np.isfinite(share).all():
            yield replace(one, probabilities=share, heat=heat)
        else:
            yield Predicted(one.path, one.label, problem="the network gave no finite answer")


def _heats(classifier: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    if not isinstance(classifier.logits, Engine):
        raise UserError(
            f"{classifier.name} is an export, of which nothing but the answers is known: Grad-CAM "
            f"needs its run or checkpoint"
        )
    return classifier.logits.grad_cam(images, classes)
