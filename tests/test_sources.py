"""The way from official files to arrays, on a small CIFAR of our own, through torchvision."""

import hashlib
import multiprocessing
import pickle
import tarfile
import time

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from processes import run
from reslab.config import compose, instantiate
from reslab.data import TorchvisionSource
from reslab.errors import UserError
from reslab.runs.build import prepare_data


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def official(tmp_path):
    """An archive like CIFAR-10's with 20 + 10 images, and the source that reads it."""
    folder = tmp_path / "official" / "small-batches"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n in [("data_batch_1", 20), ("test_batch", 10)]:
        batch = {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(n)],
        }
        (folder / name).write_bytes(pickle.dumps(batch))
    names = [f"class {i}" for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    archive = tmp_path / "official" / "small.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "small-batches")

    class Small(CIFAR10):
        base_folder = "small-batches"
        filename = "small.tar.gz"
        url = "http://127.0.0.1:9/small.tar.gz"  # nothing listens there
        tgz_md5 = md5(archive)
        train_list = [["data_batch_1", md5(folder / "data_batch_1")]]
        test_list = [["test_batch", md5(folder / "test_batch")]]
        meta = {
            "filename": "batches.meta",
            "key": "label_names",
            "md5": md5(folder / "batches.meta"),
        }

    files = {f"small-batches/{path.name}": f"md5:{md5(path)}" for path in sorted(folder.iterdir())}
    source = TorchvisionSource(Small, files, {"small.tar.gz": f"md5:{md5(archive)}"})
    return source, archive, tmp_path / "data"


def test_without_a_network_it_says_where_to_put_which_file_and_works_once_it_is_there(official):
    source, archive, root = official
    with pytest.raises(UserError) as refused:
        source.prepare(root)
    assert f"{root / 'small.tar.gz'} (md5:{md5(archive)})" in str(refused.value)
    (root / "small.tar.gz").write_bytes(archive.read_bytes())
    source.prepare(root)
    arrays = source.load(root)
    batch = pickle.loads((root / "small-batches/test_batch").read_bytes())
    assert np.array_equal(arrays.test_images.numpy(), batch["data"].reshape(10, 3, 32, 32))
    assert torch.equal(arrays.train_labels, torch.arange(20) % 10)
    assert arrays.class_names[3] == "class 3"


def test_a_truncated_archive_is_refused_kept_and_can_be_replaced(official):
    source, archive, root = official
    root.mkdir()
    short = archive.read_bytes()[:-100]
    (root / "small.tar.gz").write_bytes(short)
    with pytest.raises(UserError) as refused:
        source.prepare(root)
    assert str(root / "small.tar.gz") in str(refused.value)
    assert md5(archive) in str(refused.value)
    assert (root / "small.tar.gz").read_bytes() == short
    (root / "small.tar.gz").write_bytes(archive.read_bytes())
    source.prepare(root)


def test_a_file_with_the_wrong_digest_is_refused_and_kept(official):
    source, archive, root = official
    root.mkdir()
    (root / "small.tar.gz").write_bytes(archive.read_bytes())
    source.prepare(root)
    path = root / "small-batches/test_batch"
    expected = md5(path)
    altered = bytearray(path.read_bytes())
    altered[1000] ^= 1
    path.write_bytes(altered)
    with pytest.raises(UserError) as refused:
        source.prepare(root)
    assert str(path) in str(refused.value)
    assert expected in str(refused.value)
    assert md5(path) in str(refused.value)
    assert path.read_bytes() == altered


def test_altered_mnist_is_refused_before_training(tmp_path, data_dir):
    """Torchvision reads raw MNIST files without a look at their digest."""
    import shutil

    shutil.copytree(f"{data_dir}/MNIST", tmp_path / "data/MNIST")
    path = tmp_path / "data/MNIST/raw/t10k-labels-idx1-ubyte"
    altered = bytearray(path.read_bytes())
    altered[5000] ^= 1
    path.write_bytes(altered)
    line = run(tmp_path, "train", "dataset=mnist").error_line()
    assert "t10k-labels-idx1-ubyte" in line
    assert "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2" in line
    assert not list(tmp_path.glob("outputs/runs/*/metrics.csv"))


def test_two_first_preparations_at_once_both_succeed_one_after_the_other(official):
    source, archive, root = official
    root.mkdir()
    (root / "small.tar.gz").write_bytes(archive.read_bytes())
    fetch, log = source._fetch, root / "log"

    def slow_fetch(folder):
        with log.open("a") as file:
            file.write("begin ")
        time.sleep(0.5)
        fetch(folder)
        with log.open("a") as file:
            file.write("end ")

    source._fetch = slow_fetch
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=source.prepare, args=(root,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "begin end ", "the second must wait, and find the files there"


def test_an_old_torchvision_s_mnist_is_not_read_past_the_digests(tmp_path, data_dir):
    (tmp_path / "data/MNIST/processed").mkdir(parents=True)
    (tmp_path / "data/MNIST/raw").symlink_to(f"{data_dir}/MNIST/raw")
    line = run(tmp_path, "data", "mnist").error_line()
    assert "MNIST/processed" in line


def test_missing_data_is_refused_in_one_line(tmp_path):
    line = run(tmp_path, "train", "dataset=cifar10", "data_dir=nowhere").error_line()
    assert "nowhere/cifar-10-python.tar.gz" in line
    assert "md5:c58f30108f718f92721af3b95e74349a" in line


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files: magic number, dimensions, bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()


def test_fashion_mnist_is_a_configuration_alone(tmp_path):
    """On small files of our own in its format; no digests of the real raw files are published."""
    rng, raw = np.random.default_rng(0), tmp_path / "FashionMNIST/raw"
    raw.mkdir(parents=True)
    images = {n: rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (50, 20)}
    for name, n in [("train", 50), ("t10k", 20)]:
        (raw / f"{name}-images-idx3-ubyte").write_bytes(idx(images[n]))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    small = ["dataset.val_size=10", "dataset.batch_size=10", f"data_dir={tmp_path}"]
    data = instantiate(compose(["dataset=fashion_mnist", *small]), "dataset")
    prepare_data(data)
    assert data.class_names[9] == "Ankle boot"
    assert [len(data.train_labels), len(data.val_labels)] == [40, 10]
    assert np.array_equal(data.test_images[:, 0].numpy(), images[20])


def test_cifar100_is_a_configuration_alone(tmp_path):
    """On small files of our own in its format, so with their digests instead of the real ones."""
    rng, folder = np.random.default_rng(0), tmp_path / "cifar-100-python"
    folder.mkdir()
    pixels = {n: rng.integers(0, 256, (n, 3072), dtype=np.uint8) for n in (400, 100)}
    for name, n in [("train", 400), ("test", 100)]:
        batch = {"data": pixels[n], "fine_labels": [i % 100 for i in range(n)]}
        (folder / name).write_bytes(pickle.dumps(batch))
    names = [f"kind {i}" for i in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    small = ["dataset.val_size=100", "dataset.batch_size=10", f"data_dir={tmp_path}"]
    refused = compose(["dataset=cifar100", *small])
    with pytest.raises(UserError, match="cifar-100-python/train is not the official file"):
        prepare_data(instantiate(refused, "dataset"))
    cfg = compose(["dataset=cifar100", *small])
    for path in folder.iterdir():
        cfg.dataset.source.files[f"{folder.name}/{path.name}"] = f"md5:{md5(path)}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CIFAR100, "_check_integrity", lambda self: True)
        patch.setitem(CIFAR100.meta, "md5", md5(folder / "meta"))
        data = instantiate(cfg, "dataset")
        prepare_data(data)
    assert data.num_classes == 100
    assert data.class_names[3] == "kind 3"
    assert np.array_equal(data.test_images.numpy(), pixels[100].reshape(-1, 3, 32, 32))
