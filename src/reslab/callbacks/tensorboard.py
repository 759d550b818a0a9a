"""TensorBoard: scalars, augmented images, the graph, hyperparameters with final metrics."""

import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from reslab.callbacks.history import History

SCALARS = ("lr", "train/loss", "train/accuracy", "val/loss", "val/accuracy")


class TensorBoard(Callback):
    """Writes event files into the run's directory, so that a folder of runs is a comparison.

    Args:
        folder: The run's directory.
        history: The run's, which may begin with that of the run that it extends.
    """

    def __init__(self, folder: Path, history: History) -> None:
        self.folder, self.history = folder, history
        self._writer: Any = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        step = trainer.global_step
        begins_here = step == 0 or not any(self.folder.glob("events.out.tfevents.*"))
        if step == 0:  # what a killed process logged before its first checkpoint
            for file in self.folder.glob("events.out.tfevents.*"):
                file.unlink()
        # After a resume, whatever a killed process logged beyond its checkpoint is void.
        self._writer = SummaryWriter(str(self.folder), purge_step=step + 1 if step else None)
        if begins_here:
            preview = trainer.train_dataloader.preview(64).clamp(0, 1).cpu()
            self._writer.add_image("augmented training images", make_grid(preview, nrow=8), 0)
            self._add_graph(pl_module.network, trainer.datamodule.image_shape)
            for row in self.history.rows:  # of the run that this one extends
                self._add({name: row[name] for name in SCALARS}, int(row["step"]))
            self._writer.flush()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        self._add(pl_module.epoch_metrics, trainer.global_step)
        self._writer.flush()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._close()

    def write_hyperparameters(self, values: dict[str, Any], metrics: dict[str, float]) -> None:
        """Adds the run to the HParams page with its final metrics."""
        from torch.utils.tensorboard.summary import hparams

        with SummaryWriter(str(self.folder)) as writer:
            for part in hparams(values, metrics):
                writer.file_writer.add_summary(part)
            for name, value in metrics.items():
                writer.add_scalar(name, value)

    def _add(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def _add_graph(self, network: torch.nn.Module, image_shape: tuple[int, int, int]) -> None:
        device = next(network.parameters()).device
        network.eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the tracer is deprecated, and TensorBoard's only way
            image = torch.zeros(1, *image_shape, device=device)
            # Traced here, because the writer would have the trace checked by three passes more.
            self._writer.add_graph(torch.jit.trace(network, image, check_trace=False), image)
        network.train()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
