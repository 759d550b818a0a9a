"""Training in this process, to its end or to what spoils it."""

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Callback

from reslab.callbacks import StopRequest
from reslab.config import compose
from reslab.runs.build import Run, build, prepare_data
from reslab.runs.store import RunDirectory


def fit(
    folder: Path,
    asked: Sequence[str],
    first: Sequence[Callback] = (),
    last: Sequence[Callback] = (),
    runs: list[Run] | None = None,
) -> Run:
    """A run that has trained for two epochs, with more callbacks around those that it has.

    It is added to `runs`, however it ends.
    """
    chosen = ["model=mini_resnet", "dataset.batch_size=64", "trainer.max_epochs=2"]
    directory = RunDirectory(folder)
    directory.checkpoints.mkdir(parents=True)
    with StopRequest() as stop:
        run = build(compose([*chosen, *asked]), directory, stop)
        prepare_data(run.data)
        if runs is not None:
            runs.append(run)
        run.trainer.callbacks = [*first, *run.trainer.callbacks, *last]
        run.trainer.fit(run.task, datamodule=run.data)
    return run


class Spoil(Callback):
    """Has a step's loss or one of its gradients be no number, where that is computed."""

    def __init__(self, what: str, step: int) -> None:
        self.what, self.step, self.steps = what, step, 0

    def on_train_epoch_start(self, trainer, pl_module):
        if self.steps:
            return
        check = pl_module.finite.check

        def spoiled(loss):
            self.steps += 1
            if self.steps == self.step and self.what == "loss":
                loss = loss * float("nan")
            if self.steps == self.step and self.what == "gradient":
                gradient = pl_module.finite.parameters[0].grad
                gradient[(0,) * gradient.ndim] = float("inf")
            check(loss)

        pl_module.finite.check = spoiled
