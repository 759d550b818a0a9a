"""What only a GPU can show."""

import pytest
import torch
from lightning.pytorch import Callback

from reslab.callbacks import StopRequest
from reslab.config import compose
from reslab.runs.build import build, prepare_data
from reslab.runs.store import RunDirectory

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


class FailOnWait(Callback):
    """From an epoch's fourth step on, whatever makes the host wait for the device raises."""

    def __init__(self):
        self.steps = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx >= 3:
            self.steps += 1
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx + 1 == trainer.num_training_batches:
            torch.cuda.set_sync_debug_mode("default")

    def on_exception(self, *arguments):
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("augment", ["crop_flip", "flip_brightness", "cutout", "mixup", "cutmix"])
@pytest.mark.parametrize("compiled", ["true", "false"])
def test_no_step_waits_for_the_device(augment, compiled, tmp_path):
    chosen = [f"augment={augment}", f"trainer.compile={compiled}", "model=mini_resnet"]
    cfg = compose([*chosen, "trainer=gpu", "trainer.max_epochs=2"])
    directory = RunDirectory(tmp_path / "run")
    directory.checkpoints.mkdir(parents=True)
    with StopRequest() as stop:
        run = build(cfg, directory, stop)
        prepare_data(run.data)
        watch = FailOnWait()
        run.trainer.callbacks.insert(0, watch)
        run.trainer.fit(run.task, datamodule=run.data)
    assert watch.steps == 2 * (1257 // 64 - 3)
