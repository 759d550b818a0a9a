"""One function says which device, one builds a configuration's network, one trainer is built."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

import reslab
from reslab.bench.setup import measured_device
from reslab.callbacks import StopRequest
from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.machine import choose_device
from reslab.runs.build import build
from reslab.runs.network import build_network
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import build_trainer, device_of, precision_of
from training import SMALL

PACKAGE = Path(reslab.__file__).parent


@pytest.fixture
def pretend(monkeypatch):
    """Makes torch believe in so many CUDA devices, and in Apple's MPS or not."""

    def make(cuda=0, mps=False):
        def empty(size, device):
            kind, number = device.type, device.index or 0
            if not {"cuda": number < cuda, "mps": mps, "cpu": True}[kind]:
                raise AssertionError(f"no {device}")

        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.setattr(torch, "empty", empty)

    return make


@pytest.mark.parametrize(
    ("machine", "chosen"),
    [
        ({}, {"auto": "cpu", "cpu": "cpu"}),
        ({"mps": True}, {"auto": "mps", "gpu": "mps", "mps": "mps", "cpu": "cpu"}),
        ({"cuda": 1}, {"auto": "cuda", "gpu": "cuda", "cuda": "cuda", "cuda:0": "cuda:0"}),
        ({"cuda": 2, "mps": True}, {"auto": "cuda", "gpu": "cuda", "cuda:1": "cuda:1"}),
    ],
)
def test_a_device_is_the_best_of_its_kind_or_refused_in_one_line(machine, chosen, pretend):
    pretend(**machine)
    for name, device in chosen.items():
        assert choose_device(name, "--device x") == torch.device(device)
    there = set(chosen) | {"cpu", "auto"} | ({"mps"} if machine.get("mps") else set())
    there |= (
        {"cuda", *(f"cuda:{i}" for i in range(machine["cuda"]))} if "cuda" in machine else set()
    )
    names = ("gpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "mps", "meta", "cpu:1", "xla", "q", "")
    for name in set(names) - there:
        with pytest.raises(UserError, match=r"^--device x: not on this machine; [^\n]+$"):
            choose_device(name, "--device x")


@pytest.mark.parametrize("name", ["auto", "gpu", "cpu"])
@pytest.mark.parametrize("machine", [{}, {"mps": True}, {"cuda": 1}, {"cuda": 1, "mps": True}])
def test_a_network_is_trained_and_used_on_the_same_device(machine, name, pretend):
    pretend(**machine)
    if name == "gpu" and not machine:
        for choose in (
            lambda: choose_device(name, "--device"),
            lambda: device_of(compose(["trainer=gpu"])),
        ):
            with pytest.raises(UserError, match="not on this machine"):
                choose()
        return
    best = "cuda" if "cuda" in machine else "mps" if "mps" in machine else "cpu"
    expected = "cpu" if name == "cpu" else best
    assert choose_device(name, "--device").type == expected
    assert device_of(compose([f"trainer={name}"])).type == expected


def test_what_apple_s_mps_cannot_do_is_refused_in_one_line(pretend, tmp_path):
    pretend(mps=True)
    with pytest.raises(UserError, match=r"^trainer\.deterministic=true .* on Apple's MPS, .*=cpu$"):
        build_trainer(compose(["trainer=exact"]), [], tmp_path)
    on_cpu = compose(["trainer=exact", "trainer.accelerator=cpu"])
    assert build_trainer(on_cpu, [], tmp_path).strategy.root_device.type == "cpu"
    assert precision_of(compose([]), torch.device("mps")) == "32-true"


def test_a_run_s_gpu_is_the_one_that_its_trainer_names(pretend):
    pretend(cuda=2)
    for devices, device in [("1", "cuda"), ("[1]", "cuda:1"), ("'0,'", "cuda:0")]:
        for trainer in ("auto", "gpu"):
            cfg = compose([f"trainer={trainer}", f"trainer.devices={devices}"])
            assert device_of(cfg) == measured_device(cfg) == torch.device(device)
    with pytest.raises(UserError, match=r"^trainer\.devices=\[2\]: not on this machine"):
        device_of(compose(["trainer.devices=[2]"]))
    with pytest.raises(UserError, match=r"^trainer\.devices=\[1\]: says which GPU, .* on cpu"):
        device_of(compose(["trainer=cpu", "trainer.devices=[1]"]))
    pretend(mps=True)
    assert device_of(compose(["trainer=gpu"])).type == "mps"
    with pytest.raises(UserError, match="MPS is not measured"):
        measured_device(compose([]))
    pretend()
    with pytest.raises(UserError, match=r"^trainer\.accelerator=gpu: not on this machine"):
        device_of(compose(["trainer=gpu"]))


@pytest.mark.parametrize("precision", ["auto", "32-true", "bf16-mixed"])
def test_a_trainer_is_built_once(precision, tmp_path, monkeypatch):
    built, make = [], Trainer.__init__
    monkeypatch.setattr(
        Trainer, "__init__", lambda self, **options: built.append(options) or make(self, **options)
    )
    cfg = compose([*SMALL, "trainer=cpu", f"trainer.precision={precision}"])
    build(cfg, RunDirectory(tmp_path), StopRequest())
    assert len(built) == 1
    assert built[0]["precision"] in ("32-true", "bf16-mixed")


@pytest.mark.parametrize(
    ("text", "rooms"),
    [
        (r"instantiate\([^)]*, \"model\"\)", {"runs/network.py"}),
        (r"(cuda|mps)\.is_available|torch\.device\((?!\"cpu\")", {"machine/device.py"}),
    ],
)
def test_what_is_decided_in_one_place_is_not_decided_in_another(text, rooms):
    """The states of random generators in a checkpoint are of all devices, not of a chosen one."""
    code = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    found = {name for name, content in code.items() if re.search(text, content)}
    assert found - {"runs/saving.py"} == rooms


def test_networks_are_channels_last_and_what_is_none_is_refused():
    network = build_network(compose(["model=mini_resnet"]))
    weights = [w for w in network.parameters() if w.ndim == 4 and w.shape[1] > 1]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    with pytest.raises(UserError, match=r"^model is a Parameter, no network$"):
        build_network(compose(["+x.model={_target_:torch.nn.Parameter}"]).x)


NARROW = """
import torch
from reslab.config import compose
from reslab.runs.network import build_network

torch.set_num_threads(1)
network = build_network(compose(["model=mini_resnet", "model.widths=[4,6,5,7]", "model.strides=[1,2,3,2]"]))
for _ in range(60):
    images = torch.randn(64, 1, 16, 16).to(memory_format=torch.channels_last)
    network(images).sum().backward()
print("sound")
"""


@pytest.mark.long
def test_a_narrow_network_trains_on_a_processor_without_avx_512():
    """There, torch's own kernel for its projections writes past its memory: this process dies."""
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", NARROW]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "sound\n", done.stderr


def test_what_a_narrow_network_computes_does_not_depend_on_the_layout():
    network = build_network(compose(["model=mini_resnet", "model.widths=[4,6,5,7]"])).eval()
    images = torch.randn(8, 1, 16, 16)
    plain = instantiate(compose(["model=mini_resnet", "model.widths=[4,6,5,7]"]), "model").eval()
    plain.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(images), plain(images), rtol=1e-4, atol=1e-5)
