"""Folders of pictures, a folder a class."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pictures import saved


def class_folders(root: Path, counts: Mapping[str, int], shape=(12, 10, 3), seed=0) -> Path:
    """Pictures of noise, so many in each folder; one may be `train/cat`."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for at in range(count):
            pixels = rng.integers(0, 256, shape, dtype=np.uint8)
            saved(root / name, pixels, f"{at:03}.png")
    return root
