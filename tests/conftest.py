import os
import shutil
from collections import Counter
from pathlib import Path

# Two workers of one thread each: set before torch is imported, here and in every child process.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from filelock import FileLock
from PIL import Image

from browser import _one_browser  # noqa: F401  # a fixture
from cells import machine, make  # noqa: F401  # fixtures
from cluster import commands, working  # noqa: F401  # fixtures
from narrow import narrow_reference, narrow_table  # noqa: F401  # fixtures
from processes import run
from reslab.config import places
from sleeping import sleeping  # noqa: F401  # a fixture
from training import SMALL, make_older, only_run

pytest_plugins = ["watchdog"]

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _seed():
    torch.default_generator.manual_seed(0)  # not `torch.manual_seed`, in which threads meet


@pytest.fixture(autouse=True)
def _folders_of_its_own():
    """A command that is called in a test's own process adds what its `--config-dir` names."""
    yield
    places._own_folders.clear()


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


def open_to_others(path: Path) -> None:
    """Lets other users into a folder that a test made, down from the root."""
    for folder in (path, *path.parents):
        if folder.stat().st_uid == os.getuid() and not folder.stat().st_mode & 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """A folder with a run on digits and the test images as PNG, a folder a class.

    The first of the processes that test trains it, for all of them: it is to be read alone.
    """
    from reslab.predicting.load import data_of, load

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / "trained"
    with FileLock(base / "trained.lock"):
        if not (folder / "pictures").exists():
            arguments = ("train", *SMALL, "logger=none", "augment=flip", "optimizer.lr=0.01")
            finished = run(folder, *arguments, "trainer.max_epochs=3")
            assert finished.code == 0, finished.err
            data = data_of(load(only_run(folder)))
            for at, (image, label) in enumerate(zip(data.test_images, data.test_labels.tolist())):
                path = folder / f"unfinished/{label}/{at:04}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[0].numpy()).save(path)
            (folder / "unfinished").rename(folder / "pictures")
    return folder


@pytest.fixture(scope="module")
def trained(trained_once, tmp_path_factory):
    """A copy of that folder."""
    folder = tmp_path_factory.mktemp("copy") / "trained"
    shutil.copytree(trained_once, folder)
    return folder


@pytest.fixture
def copied(trained, tmp_path):
    """A run's best checkpoint in a folder of its own, far from the run."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(only_run(trained) / "checkpoints/best.ckpt", folder / "copied.ckpt")
    return folder / "copied.ckpt"


@pytest.fixture
def older(trained, tmp_path):
    """A run of a version whose checkpoints did not describe their network."""
    folder = tmp_path / "runs" / only_run(trained).name
    shutil.copytree(only_run(trained), folder)
    make_older(folder / "checkpoints/best.ckpt")
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Puts files with slow tests first: one that began last would be waited for alone."""
    slow = {item.path for item in items if _mark(item)}
    items.sort(key=lambda item: item.path not in slow)


# Which tests are left out by what, and what runs them.
RUN_BY = {"slow": "make test-all runs them too", "long": "make test-long runs them"}
LEAVES_OUT = {"not slow and not long": ("slow", "long"), "not long": ("long",)}
left_out: Counter[tuple[str, str]] = Counter()


def _mark(item):
    return next((mark for mark in ("long", "slow") if item.get_closest_marker(mark)), None)


def pytest_deselected(items):
    marks = [(_mark(item), item.path.stem.removeprefix("test_")) for item in items]
    left_out.update((mark, name) for mark, name in marks if mark)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Every worker leaves out the same."""
    left_out.update(Counter(getattr(node, "workeroutput", {}).get("left_out")) - left_out)


def pytest_unconfigure(config):
    if hasattr(config, "workeroutput"):
        return
    for mark in LEAVES_OUT.get(config.option.markexpr, ()):
        counts = Counter({name: n for (one, name), n in left_out.items() if one == mark})
        if counts:
            kinds = ", ".join(f"{name} {number}" for name, number in counts.most_common())
            print(f"left out: {counts.total()} {mark} tests ({kinds}); {RUN_BY[mark]}")
