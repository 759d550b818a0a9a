"""What several devices make of a network, as far as one process without a GPU can show it.

`test_ddp` trains in several processes, `test_gpu` on a GPU.
"""

import pytest
import torch
from torch import nn

from reslab import ranks
from reslab.analysis.summary import count_parameters
from reslab.config import compose
from reslab.errors import UserError
from reslab.export.write import BOUND, write_export
from reslab.predicting.load import data_of, load
from reslab.runs import devices, execute, trainer
from reslab.runs.beginning import build_task
from reslab.runs.check import try_network
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from training import SMALL, assert_same_results


@pytest.fixture
def several(monkeypatch):
    """Has this process be the first of two, on devices of a kind, while a function is called."""

    def call(kind, function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(ranks, "number", lambda: 2)
            patch.setattr(devices, "device_of", lambda cfg: torch.device(kind))
            return function(*arguments)

    return call


def prepared(several, kind, *overrides):
    """The task of a configuration on two devices of a kind, and what is recorded of that."""
    cfg = compose([*SMALL, "trainer=ddp", *overrides])
    task = build_task(cfg)
    several(kind, devices.prepare_network, cfg, task)
    return task, several(kind, devices.describe_devices, task.network)


def kinds_of_norm(network):
    return {type(layer) for layer in network.modules() if "BatchNorm" in type(layer).__name__}


@pytest.mark.parametrize(
    ("kind", "asked", "layers", "said"),
    [
        ("cuda", "null", nn.SyncBatchNorm, "synchronized"),
        ("cuda", "true", nn.SyncBatchNorm, "synchronized"),
        ("cuda", "false", nn.BatchNorm2d, "per device"),
        ("cpu", "null", nn.BatchNorm2d, "per device"),
        ("cpu", "false", nn.BatchNorm2d, "per device"),
    ],
)
def test_statistics_are_synchronized_on_gpus_unless_asked_otherwise(
    kind, asked, layers, said, several
):
    task, recorded = prepared(several, kind, f"trainer.sync_batchnorm={asked}")
    assert kinds_of_norm(task.network) == {layers}
    assert recorded == {"world_size": 2, "batch_norm": said}
    assert task.compile_training is (False if layers is nn.SyncBatchNorm else None)


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_of_a_network_without_batchnorm_nothing_is_synchronized(kind, several):
    cfg = compose([*SMALL, "trainer=ddp"])
    task = build_task(cfg)
    task.network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    several(kind, devices.prepare_network, cfg, task)
    assert task.compile_training is None
    recorded = several(kind, devices.describe_devices, task.network)
    assert recorded == {"world_size": 2, "batch_norm": None}


def test_alone_there_is_nothing_to_do_and_to_say(monkeypatch):
    monkeypatch.setattr(devices, "device_of", lambda cfg: torch.device("cuda"))
    cfg = compose([*SMALL, "trainer=ddp"])
    task = build_task(cfg)
    devices.prepare_network(cfg, task)
    assert kinds_of_norm(task.network) == {nn.BatchNorm2d}
    assert devices.describe_devices(task.network) == {}


@pytest.mark.parametrize(
    ("kind", "asked", "line"),
    [
        ("cpu", "sync_batchnorm=true", r"trainer\.sync_batchnorm=true .* on GPUs alone: leave"),
        ("cuda", "compile=true", r"trainer\.compile=true: .* add trainer\.sync_batchnorm=false"),
    ],
)
def test_what_cannot_be_synchronized_is_refused(kind, asked, line, several):
    with pytest.raises(UserError, match=f"^{line}[^\n]*$"):
        prepared(several, kind, f"trainer.{asked}")


@pytest.mark.parametrize("model", ["baseline_cnn", "mini_resnet", "resnet20"])
def test_a_network_with_synchronized_statistics_has_the_same_weights_and_costs(model, several):
    cfg = compose([f"model={model}", "dataset=digits", "trainer=ddp"])
    plain, task = build_task(cfg), build_task(cfg)
    several("cuda", devices.prepare_network, cfg, task)
    assert kinds_of_norm(task.network) == {nn.SyncBatchNorm}
    expected, found = plain.network.state_dict(), task.network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
    assert count_parameters(task.network) == count_parameters(plain.network)
    costs = [[one.macs for one in try_network(cfg, n.network)] for n in (plain, task)]
    assert sum(costs[0]) == sum(costs[1]) > 0
    plain.network.load_state_dict(found)  # which refuses what differs by name or shape


@pytest.mark.slow
def test_what_was_trained_with_synchronized_statistics_is_used_as_any_other(
    several, tmp_path, monkeypatch
):
    """On a processor, alone, torch computes these as plain ones: all must be equal to the bit."""
    asked = (*SMALL, "logger=none", "trainer.max_epochs=2", "trainer=ddp", "trainer.devices=1")
    cfg = compose([*asked, "trainer.accelerator=cpu"])
    plain, synchronized = (RunDirectory(tmp_path / name) for name in ("plain", "synchronized"))
    request = Request.here(asked, None)
    execute.execute(cfg, plain, request)
    prepare_network, describe = devices.prepare_network, devices.describe_devices
    converted = []

    def prepare(cfg, task):
        several("cuda", prepare_network, cfg, task)
        converted.append(task.network)

    monkeypatch.setattr("reslab.runs.build.prepare_network", prepare)
    monkeypatch.setattr(execute, "describe_devices", lambda one: several("cuda", describe, one))
    execute.execute(cfg, synchronized, request)
    (network,) = converted
    assert kinds_of_norm(network) == {nn.SyncBatchNorm}
    assert_same_results(synchronized.path, plain.path)

    ours, theirs = synchronized.record(), plain.record()
    assert (ours.parameters, ours.macs) == (theirs.parameters, theirs.macs)
    assert (ours.provenance.world_size, ours.provenance.batch_norm) == (2, "synchronized")
    assert (theirs.provenance.world_size, theirs.provenance.batch_norm) == (1, None)

    classifier = load(synchronized.path)
    assert kinds_of_norm(classifier.network) == {nn.BatchNorm2d}
    images = data_of(classifier).test_images[:50]
    assert torch.equal(classifier(images), load(plain.path)(images))
    path = tmp_path / "exported.safetensors"
    assert write_export(classifier, "safetensors", False, images, path) <= BOUND


def test_more_processes_than_gpus_are_refused_with_how_many_to_start(monkeypatch):
    monkeypatch.setattr(ranks, "number", lambda: 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(trainer, "choose_device", lambda name, asked: torch.device("cuda"))
    cfg = compose(["trainer=ddp"])
    with pytest.raises(
        UserError, match=r"4 processes for 2 GPUs: give torchrun --nproc-per-node=2"
    ):
        trainer.device_of(cfg)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # on each of two machines
    assert trainer.device_of(cfg).type == "cuda"
