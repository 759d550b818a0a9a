"""Pictures decoded to one array, kept on disk so that it is done once."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision

from reslab import preprocess
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.pictures import decode
from reslab.pictures.checks import BadPictureError
from reslab.pictures.folder import Picture, PictureFolder, digest_of
from reslab.reporter import Reporter


@dataclass(frozen=True)
class Decoded:
    """A folder's pictures.

    Attributes:
        images: uint8 `[N, C, S, S]`, black where a picture cannot be read.
        problems: Why, by the number of the picture.
    """

    images: np.ndarray
    problems: dict[int, str]


def decoded(
    folder: PictureFolder, channels: int, size: int, kept_in: Path, reporter: Reporter
) -> Decoded:
    """A folder's pictures as `decode` gives them, from what was kept of an earlier time if it can.

    Args:
        folder: The folder.
        channels: 1 for grey, 3 for color.
        size: Height and width in pixels.
        kept_in: Where arrays are kept; where it cannot be written, none is.
        reporter: Told how far it is.

    Raises:
        UserError: A file has changed since the folder was looked at.
    """
    shape = len(folder.pictures), channels, size, size
    path = kept_in / f"{folder.content}-{channels}x{size}-{_decoder()}.pictures"
    if there := _read(path, shape):
        return there
    found = _decode(folder.pictures, shape, reporter)
    try:
        kept_in.mkdir(parents=True, exist_ok=True)
        head = {"digest": _digest(found.images), "problems": found.problems}
        line = json.dumps(head).encode() + b"\n"
        write_atomically(path, line, found.images.data.cast("B"))
    except (OSError, UserError) as error:
        reporter.say(f"decoded pictures are not kept: {error}")
        return found
    del found  # of two arrays one is enough
    return _read(path, shape) or _decode(folder.pictures, shape, reporter)


def _decoder() -> str:
    """What tells versions of the decoder apart."""
    digest = hashlib.blake2b(f"{PIL.__version__} {torchvision.__version__}".encode(), digest_size=4)
    pictures, preprocessing = Path(decode.__file__).parent, Path(preprocess.__file__)
    for file in (*sorted(pictures.glob("*.py")), preprocessing):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _read(path: Path, shape: tuple[int, ...]) -> Decoded | None:
    """What was kept, mapped from the disk; None where there is nothing, or not what was written."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            images = np.memmap(file, np.uint8, "c", file.tell(), shape)
        if head["digest"] == _digest(images):
            return Decoded(images, {int(at): text for at, text in head["problems"].items()})
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _digest(images: np.ndarray) -> str:
    return hashlib.blake2b(images.data.cast("B"), digest_size=16).hexdigest()


def _decode(pictures: Sequence[Picture], shape: tuple[int, ...], reporter: Reporter) -> Decoded:
    images, problems = np.zeros(shape, np.uint8), {}
    _, channels, size, _ = shape

    def decode_one(at: int) -> str | None:
        picture, problem = pictures[at], None
        try:
            images[at] = decode.decode(picture.path, channels, size)[0].numpy()
        except BadPictureError as error:
            problem = str(error)
        if picture.digest and digest_of(picture.path) != picture.digest:
            raise UserError(f"{picture.path} has just changed: give the command again")
        return problem

    workers = torch.get_num_threads()  # the cores that this process may use
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        with reporter.progress(len(pictures), "img") as done:
            for at, problem in enumerate(pool.map(decode_one, range(len(pictures)))):
                if problem:
                    problems[at] = problem
                done()
    finally:
        pool.shutdown(cancel_futures=True)
    return Decoded(images, problems)
