"""Folders of pictures, a folder a class, and what data sets there are of them."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pictures import saved
from reslab.config import compose, instantiate
from reslab.pictures import decode as decoder
from reslab.reporter import Reporter
from reslab.runs.build import prepare_data


def class_folders(root: Path, counts: Mapping[str, int], shape=(12, 10, 3), seed=0) -> Path:
    """Pictures of noise, so many in each folder; one may be `train/cat`."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            pixels = rng.integers(0, 256, shape, dtype=np.uint8)
            saved(root / name, pixels, f"{at:03}.png")
    return root


PARTS = ("train", "val", "test")


class Told(Reporter):
    """Keeps what it is told."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    warn = say


def composed(root, *overrides):
    small = ("dataset.size=8", "dataset.batch_size=2")
    cfg = compose(["dataset=folder", *small, *overrides])  # kept, as it would not be with a root
    cfg.dataset.root = None if root == "null" else str(root)
    return cfg


def data_of(root, *overrides, reporter=None):
    """The data set, ready."""
    data = instantiate(composed(root, *overrides), "dataset")
    prepare_data(data, reporter or Told())
    return data


def warnings(data):
    return [remark.warning for remark in data.remarks if remark.warns]


def held(data, part):
    """Class and bytes of each image of a part, with how often it is there."""
    images, labels = getattr(data, f"{part}_images"), getattr(data, f"{part}_labels")
    names = [data.class_names[label] for label in labels.tolist()]
    return Counter(zip(names, [image.numpy().tobytes() for image in images], strict=True))


def expected(files, channels=3, size=8):
    """The same of files, one by one, whose class is the folder that they are in."""
    return Counter(
        (file.parent.name, decoder.decode(file, channels, size)[0].numpy().tobytes())
        for file in files
    )


def files_in(folder):
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


def flip(file, at=-20):
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)
