"""How large gradients are, layer by layer, from the start of training to its end."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import Tensor, nn

from reslab.callbacks.history import write_rows
from reslab.nn.blocks import skip_parameters


class Gradients(Callback):
    """Keeps the L2 norm of every layer's gradient: of the first batch, then of epochs' last ones.

    A layer is a weight with more than one dimension, of convolutions and of the classifier. Where
    gradients are clipped, norms are those after it. The rows are part of every checkpoint. Nothing
    waits for the device inside an epoch: norms are computed there and read with its metrics.

    Args:
        path: The CSV file. Columns: epoch (0: the first batch, before any update), layer, path
            (`skip` of a layer in a join, else `main`), norm.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._weights: dict[str, nn.Parameter] = {}
        self._paths: dict[str, str] = {}
        self._first: Tensor | None = None
        self._last: Tensor | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        named = dict(pl_module.network.named_parameters())
        names = {k: k.removesuffix(".weight") for k, weight in named.items() if weight.ndim > 1}
        self._weights = {layer: named[name] for name, layer in names.items()}
        skips = skip_parameters(pl_module.network)
        self._paths = {v: "skip" if name in skips else "main" for name, v in names.items()}
        # A checkpoint of an older version has rows without a path.
        self.rows = [self._row(row["epoch"], row["layer"], row["norm"]) for row in self.rows]
        write_rows(self.path, self.rows)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == 1:
            self._first = self._norms()
        if batch_idx + 1 == trainer.num_training_batches or trainer.should_stop:
            self._last = self._norms()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        epoch = trainer.current_epoch + 1
        for number, norms in ((0, self._first), (epoch, self._last)):
            if norms is not None:
                values = zip(self._weights, norms.tolist(), strict=True)
                self.rows += [self._row(number, layer, norm) for layer, norm in values]
        self._first = self._last = None
        write_rows(self.path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Rows, and what the first batch gave if its epoch is not over."""
        first = None if self._first is None else self._first.cpu()
        return {"rows": [dict(row) for row in self.rows], "first": first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes them back from a checkpoint."""
        self.rows, self._first = state_dict["rows"], state_dict["first"]

    def _row(self, epoch: int, layer: str, norm: float) -> dict[str, Any]:
        return {"epoch": epoch, "layer": layer, "path": self._paths[layer], "norm": norm}

    def _norms(self) -> Tensor:
        known = [
            torch.zeros((), device=weight.device) if weight.grad is None else weight.grad
            for weight in self._weights.values()
        ]
        return torch.stack(torch._foreach_norm(known))
