"""What only a GPU can show."""

import pytest
import torch
from lightning.pytorch import Callback

from reslab.callbacks import StopRequest, progress
from reslab.config import compose
from reslab.runs.build import build, prepare_data
from reslab.runs.store import RunDirectory

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


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
    chosen = [f"trainer.compile={compiled}", "model=mini_resnet", "dataset.batch_size=64"]
    gpu = [] if asked.startswith("trainer=") else ["trainer=gpu"]
    cfg = compose([*asked.split(), *chosen, *gpu, "trainer.max_epochs=2"])
    directory = RunDirectory(tmp_path / "run")
    directory.checkpoints.mkdir(parents=True)
    with StopRequest() as stop:
        run = build(cfg, directory, stop)
        prepare_data(run.data)
        watch = FailOnWait()
        run.trainer.callbacks = [watch, *run.trainer.callbacks, WaitAgain()]
        run.trainer.fit(run.task, datamodule=run.data)
    assert watch.steps == 2 * (1257 // 64 - 3)
