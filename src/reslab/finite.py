"""What is not a number is caught where it is computed, before the optimizer moves."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from reslab.errors import UserError

STEPS_BETWEEN_READS = 16  # of what a GPU has found, each by the next read


class NotFiniteError(UserError):
    """A loss or a gradient is infinite or not a number."""


class FiniteGuard:
    """Looks at each step's loss and gradients, and ends training at the first that is not finite.

    On a CPU that is before the step's update. A GPU is not waited for: what it finds it keeps, and
    from that step on a fused optimizer leaves the weights as they are. The host reads it some steps
    later, in every process of a run after the same one, and before anything is saved.

    Args:
        optimizer: Makes the updates.
        device: Where it does.
        steps: How many there have been.
        steps_per_epoch: How many an epoch has.
        scaled: Whether a scaler sees to gradients that overflow, as in fp16: then only the loss is
            looked at.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        device: torch.device,
        steps: int = 0,
        steps_per_epoch: int = 1,
        *,
        scaled: bool = False,
    ) -> None:
        self.steps, self.steps_per_epoch, self.scaled = steps, steps_per_epoch, scaled
        # Once: to walk through a deep network at every step takes as long as its kernels' launches.
        self.parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._good = torch.full((), steps, device=device)  # the last step before the first find
        self._loss = torch.zeros((), device=device)  # of the step of the first find
        self._found = torch.zeros((), device=device)  # 1 from then on
        self._factor = torch.ones((), device=device)
        self._copy: Any = None
        self._copied: Any = None
        # By this attribute torch's own scaler has a fused optimizer pass over a step.
        fused = device.type == "cuda" and getattr(optimizer, "_step_supports_amp_scaling", False)
        if fused and not scaled:
            optimizer.found_inf = self._found  # type: ignore[attr-defined]

    def check(self, loss: Tensor) -> None:
        """Looks at a step's loss, a number, and at the gradients that there are.

        Raises:
            NotFiniteError: One is not finite, or on a GPU was not in a step before.
        """
        self.steps += 1
        self._loss.copy_(torch.where(self._found == 0, loss, self._loss))
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        looked_at = [self._loss, *([] if self.scaled else gradients)]
        # As torch's scaler does at every step, by a factor of 1: one pass, whose find stays.
        torch._amp_foreach_non_finite_check_and_unscale_(looked_at, self._found, self._factor)
        self._good.add_(self._found == 0)
        if self._found.device.type != "cuda":
            self.raise_if_found()
        elif self.steps % STEPS_BETWEEN_READS == 0:
            self._read_late()

    def raise_if_found(self) -> None:
        """Waits for the device, and says which step was the first that was not finite.

        Raises:
            NotFiniteError: One was not.
        """
        if not self._found.item():
            return
        step, loss = int(self._good.item()) + 1, self._loss.item()
        epoch, batch = divmod(step - 1, self.steps_per_epoch)
        what = f"the loss is {loss}"
        if math.isfinite(loss):
            what = f"a gradient is not finite, at a loss of {loss:.4g},"
        where = f"epoch {epoch + 1}, batch {batch + 1} of {self.steps_per_epoch}"
        raise NotFiniteError(f"{what} in step {step} ({where})")

    def _read_late(self) -> None:
        """Reads what was begun to be copied so many steps ago, and begins to copy what is now."""
        if self._copied is None:
            self._copy = torch.zeros((), pin_memory=True)
            self._copied = torch.cuda.Event()
        else:
            self._copied.synchronize()
            if self._copy.item():
                self.raise_if_found()
        self._copy.copy_(self._found, non_blocking=True)
        self._copied.record()
