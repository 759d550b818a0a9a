"""What `reslab doctor` sees of a machine, each fault caused."""

import os
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from reslab import doctor, locks
from reslab.cli import cli
from reslab.doctor import Finding

REPOSITORY = Path(__file__).parents[1]

LABELS = "FashionMNIST/raw/train-labels-idx1-ubyte"


def found(findings, state: str) -> str:
    (one,) = (one for one in findings if one.state == state)
    return f"{one.text} -> {one.advice}" if one.advice else one.text


def test_every_bound_of_the_project_is_looked_at_and_holds_here():
    assert [one.state for one in doctor.versions()] == ["fine"]


@pytest.mark.parametrize(
    ("package", "there", "said"),
    [
        ("hydra-core", None, "hydra-core is missing -> pip install 'hydra-core<1.4,>=1.3.8'"),
        ("torch", "2.9.1", "torch 2.9.1 -> pip install 'torch>=2.11'"),
        ("lightning", "2.6.3", "lightning 2.6.3 is a compromised release: change the passwords"),
        ("bokeh", "4.0.0rc1", None),
    ],
)
def test_a_version_out_of_bounds_is_a_fault_with_its_mend(package, there, said):
    def of(name):
        if name == package and there is None:
            raise PackageNotFoundError(name)
        return there if name == package else version(name)

    findings = list(doctor.versions(of))
    if said is None:
        assert [one.state for one in findings] == ["fine"]
    else:
        assert found(findings, "fault").startswith(said)


def test_a_gpu_that_torch_does_not_see_is_a_fault(commands, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    commands.says("nvidia-smi", "0, GPU-1\n1, GPU-2\n")
    monkeypatch.setattr(doctor, "choose_device", lambda *asked: torch.device("cpu"))
    assert "the driver has 2 GPUs, and torch sees none" in found(doctor.hardware(), "fault")


def test_more_threads_than_cores_are_remarked_on(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    text = found((one for one in doctor.hardware() if one.of == "threads"), "remark")
    assert text.startswith("OMP_NUM_THREADS=4096 on ")


def test_without_a_compiler_it_is_said_what_that_costs(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    text = found(doctor.compiler(), "remark")
    assert "no-such-compiler" in text
    assert "without it trainer.compile=true is refused" in text


@pytest.mark.parametrize("folder", ["/proc/none", "file/below"])
def test_a_folder_that_cannot_be_written_into_is_a_fault(folder, in_empty_folder):
    Path("file").touch()
    text = found(doctor.room("runs", Path(folder)), "fault")
    assert "cannot be written into" in text
    assert "runs_dir=FOLDER" in text
    assert os.listdir() == ["file"]


def test_a_folder_s_locks_and_room_are_seen_and_nothing_is_left_there(in_empty_folder, monkeypatch):
    (fine,) = doctor.room("runs", Path("deep/below"))
    assert fine.state == "fine"
    monkeypatch.setattr(doctor, "ENOUGH", 2**80)
    assert "GiB free -> a table's runs" in found(doctor.room("runs", Path()), "remark")
    monkeypatch.setattr(doctor, "ENOUGH", 0)
    monkeypatch.setattr(locks, "_is_local", lambda device: True)
    assert "binds this machine alone -> a lease" in found(doctor.room("runs", Path()), "remark")
    assert os.listdir() == []


def test_a_data_set_is_whole_missing_or_spoilt(in_empty_folder, monkeypatch):
    names = {"mnist": "MNIST/raw/train-images-idx3-ubyte", "cifar10": "cifar-10-batches-py"}
    for name, missing in names.items():
        text = found(doctor.data(name, Path("data")), "remark")
        assert re.search(rf"{name} is not whole in data: {missing}.* -> `reslab data {name}`", text)
    assert os.listdir() == []
    here = REPOSITORY / "data"
    if not (here / "cifar-10-batches-py/test_batch").is_file():
        pytest.skip("CIFAR-10 is not there")
    assert list(doctor.data("cifar10", here)) == [
        Finding("data", "fine", f"cifar10 is whole in {here}")
    ]
    shutil.copytree(here / "cifar-10-batches-py", "data/cifar-10-batches-py")
    spoilt = Path("data/cifar-10-batches-py/test_batch")
    content = bytearray(spoilt.read_bytes())
    content[1000] ^= 1
    spoilt.unlink()
    spoilt.write_bytes(content)
    text = found(doctor.data("cifar10", Path("data")), "fault")
    assert "test_batch is not the official file" in text
    assert spoilt.read_bytes() == content


def test_data_sets_that_few_use_are_looked_at_where_anything_of_them_lies(in_empty_folder):
    for name, file in {"cifar100": "cifar-100-python/meta", "fashion_mnist": LABELS}.items():
        assert list(doctor.data(name, Path("data"))) == []
        Path("data", file).parent.mkdir(parents=True)
        Path("data", file).touch()
        assert f"{name} is not whole in data" in found(doctor.data(name, Path("data")), "remark")


def test_a_cluster_that_does_not_answer_is_remarked_on(commands):
    commands.does("scontrol", "echo 'slurm_load_ctl_conf error: refused' >&2; exit 1")
    assert "it does not answer: " in found(doctor.slurm(), "remark")


def test_the_command_ends_with_1_where_something_would_fail(in_empty_folder):
    good = CliRunner().invoke(cli, ["doctor"])
    assert good.exit_code == 0, good.output
    bad = CliRunner().invoke(cli, ["doctor", "--data-dir", "/proc/none"])
    assert bad.exit_code == 1
    assert re.search(r"FAULT  data: /proc cannot be written into", bad.output)
    assert os.listdir() == []
