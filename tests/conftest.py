import os
from collections import Counter
from pathlib import Path

# Two workers of one thread each: set before torch is imported, here and in every child process.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Puts files with slow tests first: one that began last would be waited for alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


left_out: Counter[str] = Counter()


def pytest_deselected(items):
    slow = [item for item in items if item.get_closest_marker("slow")]
    left_out.update(item.path.stem.removeprefix("test_") for item in slow)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Every worker leaves out the same."""
    left_out.update(Counter(getattr(node, "workeroutput", {}).get("left_out")) - left_out)


def pytest_unconfigure(config):
    if left_out and config.option.markexpr == "not slow" and not hasattr(config, "workeroutput"):
        kinds = ", ".join(f"{name} {number}" for name, number in left_out.most_common())
        print(f"left out: {left_out.total()} slow tests ({kinds}); make test-all runs them too")
