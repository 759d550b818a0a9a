"""What only a GPU can show."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback

from processes import run
from reslab.callbacks import StopRequest, progress
from reslab.config import compose
from reslab.runs.build import Run, build, prepare_data
from reslab.runs.store import RunDirectory, list_runs
from reslab.tables.finished import BESIDE_OTHERS
from training import NEEDS_GPU, SMALL

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
    fit(tmp_path / "run", [*asked.split(), *gpu, f"trainer.compile={compiled}"], watch)
    assert watch.steps == 2 * (1257 // 64 - 3)


def fit(folder: Path, asked: list[str], watch: Callback | None = None) -> Run:
    """A run that has trained for two epochs."""
    chosen = ["model=mini_resnet", "dataset.batch_size=64", "trainer.max_epochs=2"]
    directory = RunDirectory(folder)
    directory.checkpoints.mkdir(parents=True)
    with StopRequest() as stop:
        run = build(compose([*asked, *chosen]), directory, stop)
        prepare_data(run.data)
        if watch:
            run.trainer.callbacks = [watch, *run.trainer.callbacks, WaitAgain()]
        run.trainer.fit(run.task, datamodule=run.data)
    return run


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
