import os
from pathlib import Path

# Two workers of one thread each: set before torch is imported, here and in every child process.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

from narrow import narrow_reference, narrow_table  # noqa: F401  # fixtures

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def data_dir():
    """The folder with the real MNIST and CIFAR-10."""
    folder = Path(os.environ.get("RESLAB_DATA", REPOSITORY / "data"))
    for name in ("MNIST/raw/train-images-idx3-ubyte", "cifar-10-batches-py/data_batch_1"):
        if not (folder / name).exists():
            pytest.skip(
                f"the real data are not there: {folder / name} (RESLAB_DATA names a folder)"
            )
    return str(folder)
