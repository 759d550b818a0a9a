"""What only a GPU can show; of several devices all that one GPU can."""

import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import Callback

import torchrun
from fitting import Spoil, fit
from processes import run
from reslab import ranks
from reslab.callbacks import progress
from reslab.config import compose
from reslab.errors import UserError
from reslab.finite import STEPS_BETWEEN_READS, NotFiniteError
from reslab.machine import configure_kernels
from reslab.runs import checkpoint as files
from reslab.runs.beginning import build_task
from reslab.runs.build import Run
from reslab.runs.devices import describe_devices, prepare_network
from reslab.runs.execute import execute
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory, list_runs
from reslab.tables.finished import BESIDE_OTHERS
from training import NEEDS_GPU, SMALL, only_run

pytestmark = NEEDS_GPU


class FailOnWait(Callback):
    """From an epoch's fourth step on, what torch knows to make the host wait raises."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx >= 3:
            self.steps += 1
            torch.cuda.set_sync_debug_mode("error")

    def on_exception(self, *arguments):
        torch.cuda.set_sync_debug_mode("default")


class WaitAgain(Callback):
    """The last callback: when an epoch's last step is over for all, waiting is allowed again."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx + 1 == trainer.num_training_batches:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(
    "asked",
    [
        *(f"augment={name}" for name in ("crop_flip", "flip_brightness", "cutout")),
        *("augment=mixup", "augment=cutmix", "+trainer.gradient_clip_val=1", "trainer=exact"),
        *("optimizer=rmsprop", "recipe=he2016/resnet20 dataset=digits"),  # the latter by the step
    ],
)
@pytest.mark.parametrize("compiled", ["true", "false"])
def test_no_step_waits_for_the_device(asked, compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_READS", 0)  # the loss is read at every step
    gpu = [] if asked.startswith("trainer=") else ["trainer=gpu"]
    watch = FailOnWait()
    fit(
        tmp_path / "run",
        [*asked.split(), *gpu, f"trainer.compile={compiled}"],
        [watch],
        [WaitAgain()],
    )
    assert watch.steps == 2 * (1257 // 64 - 3)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("compiled", ["true", "false"])
def test_what_is_not_finite_ends_training_and_a_fused_optimizer_has_not_moved(
    what, optimizer, compiled, tmp_path
):
    """No step waits for that: the test above has the same steps."""
    spoil = Spoil(what, step=7)
    asked = [*EXACT, f"optimizer={optimizer}", "dataset.batch_size=16"]
    asked += [f"trainer.compile={compiled}"]
    runs: list[Run] = []
    with pytest.raises(NotFiniteError, match=r"in step 7 \(epoch 1, batch 7 of 78\)") as error:
        fit(tmp_path / "spoiled", asked, [spoil], runs=runs)
    assert ("a gradient" in str(error.value)) == (what == "gradient")
    assert spoil.steps <= 7 + 2 * STEPS_BETWEEN_READS
    if optimizer != "rmsprop":
        fit(tmp_path / "six", [*asked, "max_steps=6"], runs=runs)
        weights, expected = (list(run.task.network.parameters()) for run in runs)
        assert all(torch.equal(one, other) for one, other in zip(weights, expected))


def test_nothing_is_saved_of_a_step_that_is_not_finite(tmp_path):
    asked = [*EXACT, "checkpoint_every=0"]
    with pytest.raises(NotFiniteError):
        fit(tmp_path / "run", asked, [Spoil("gradient", step=7)])
    saved = files.load(tmp_path / "run/checkpoints/last.ckpt")
    assert saved["global_step"] == 6
    assert all(bool(w.isfinite().all()) for w in saved["state_dict"].values())


def test_a_batch_that_does_not_fit_into_memory_is_named_with_one_that_does(tmp_path):
    asked = ["trainer=gpu", "model=resnet18", "dataset.size=32", "dataset.batch_size=1257"]
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    allowed = torch.cuda.memory_allocated() + 2**30
    torch.cuda.set_per_process_memory_fraction(allowed / total)
    try:
        with pytest.raises(UserError, match="1257: out of memory on cuda") as e:
            execute(compose(asked), RunDirectory(tmp_path / "run"), Request.here(asked, None))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    fits = int(str(e.value).rpartition("=")[2].removesuffix(" fits"))
    assert 0 < fits < 1257


EXACT = ["trainer=exact", "dataset=digits", "seed=3"]


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_an_exact_run_is_bitwise_the_same_again(compiled, tmp_path):
    asked = [*EXACT, f"trainer.compile={compiled}"]
    first, again = (fit(tmp_path / name, asked) for name in ("first", "again"))
    assert first.trainer.strategy.root_device.type == "cuda"
    expected = first.task.state_dict()
    assert all(torch.equal(expected[name], w) for name, w in again.task.state_dict().items())


def test_steps_launched_as_cuda_graphs_train_as_eager_ones(tmp_path):
    """Two epochs of 19 steps, so that graphs are replayed many times; fp32 without TF32."""
    from torch._dynamo.utils import counters
    from torch._inductor.cudagraph_trees import get_manager

    losses = []
    for compiled in ("false", "true"):
        torch.compiler.reset()
        asked = [*EXACT, "optimizer.lr=0.0001", f"trainer.compile={compiled}"]
        skipped = counters["inductor"]["cudagraph_skips"]
        metrics = fit(tmp_path / compiled, asked).task.epoch_metrics
        assert counters["inductor"]["cudagraph_skips"] == skipped
        assert (get_manager(0, create_if_none_exists=False) is not None) == (compiled == "true")
        losses.append((metrics["train/loss"], metrics["val/loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # 0.01 on a CPU, compiled or not


def test_two_runs_share_a_gpu_where_that_is_asked_for_and_say_so(tmp_path):
    sweep = ("train", "-m", *SMALL, "logger=none", "trainer=gpu", "trainer.compile=false")
    asked = (*sweep, "trainer.max_epochs=60", "seed=0,1", "hydra/launcher=local")
    only_one = {"CUDA_VISIBLE_DEVICES": "0"}
    line = run(tmp_path, *asked, "hydra.launcher.slots=2", **only_one).error_line()
    assert "there is 1 GPU" in line
    done = run(tmp_path, *asked, "hydra.launcher.runs_per_gpu=2", **only_one)
    assert done.code == 0, done.err
    assert done.err.count("begun on GPU 0") == 2
    records = [one.record() for one in list_runs(tmp_path / "outputs/runs")]
    assert [one.provenance.device for one in records] == ["cuda"] * 2
    assert all(one.others_cpu > BESIDE_OTHERS for one in records), "their times are starred"


DDP = ("train", *SMALL, "logger=none", "trainer=ddp", "trainer.accelerator=gpu")


def test_torchrun_trains_on_one_gpu_and_the_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    two_epochs = (*DDP, "trainer.compile=false", "trainer.max_epochs=2")
    done = torchrun.finish(torchrun.start(tmp_path, *two_epochs, number=1))
    assert done.code == 0, done.err
    provenance = RunDirectory(only_run(tmp_path)).record().provenance
    assert provenance.device == "cuda"
    assert provenance.hardware == torch.cuda.get_device_name(0)
    assert (provenance.world_size, provenance.batch_norm) == (1, None), "as of any one device"


def test_more_processes_than_gpus_are_refused_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    line = run(tmp_path, *DDP, "trainer.devices=2", CUDA_VISIBLE_DEVICES="0").error_line()
    assert line == "reslab: trainer.devices=2: there is 1 GPU for this run"
    refused = torchrun.finish(torchrun.start(tmp_path, *DDP, number=2))
    lines = [one for one in refused.err.splitlines() if one.startswith("reslab: ")]
    assert refused.code == 1
    assert lines == [
        "reslab: trainer=ddp has a process on each GPU, and here are 2 processes for 1 GPU: give "
        "torchrun --nproc-per-node=1, or add trainer.accelerator=cpu"
    ]


def gradients(task, batch: slice) -> torch.Tensor:
    """Of a part of 48 random images, in a row."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(48, 1, 8, 8, generator=generator)[batch].cuda()
    labels = torch.randint(10, (48,), generator=generator)[batch].cuda()
    network = task.network.cuda().train()
    F.cross_entropy(network(images), labels).backward()
    ranks.merge(network, 1 / ranks.number(), [])
    return torch.cat([weight.grad.flatten().cpu() for weight in network.parameters()])


def compute_share(rank: int, port: int, overrides: list[str], folder: Path) -> None:
    """What one of two processes makes of its half; each is as on a machine of its own."""
    said = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    said |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in said.items()}
    configure_kernels(exact=True)
    cfg = compose(overrides)
    with ranks.joined(on_gpus=False):  # by gloo: NCCL refuses two processes on one GPU
        task = build_task(cfg)
        prepare_network(cfg, task)
        found = gradients(task, ranks.share(48))
        torch.save({"gradients": found} | describe_devices(task.network), folder / f"{rank}.pt")


@pytest.mark.parametrize("kind", ["synchronized", "per device"])
def test_with_synchronized_statistics_two_processes_learn_what_one_does(kind, tmp_path):
    """The gradients of a batch, to rounding; where each normalizes by its own half they differ."""
    overrides = ["trainer=ddp", "model=mini_resnet", "dataset=digits"]
    overrides += [f"trainer.sync_batchnorm={'null' if kind == 'synchronized' else 'false'}"]
    arguments = (torchrun.free_port(), overrides, tmp_path)
    torch.multiprocessing.spawn(compute_share, arguments, nprocs=2)
    configure_kernels(exact=True)
    expected = gradients(build_task(compose(overrides)), slice(48))
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert one["batch_norm"] == kind
    assert torch.equal(one["gradients"], other["gradients"])
    difference = (one["gradients"] - expected).norm() / expected.norm()
    assert difference < 1e-3 if kind == "synchronized" else difference > 1e-2
