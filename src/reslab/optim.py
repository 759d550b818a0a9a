"""What turns gradients into updates: an optimizer and its learning-rate schedule."""

from collections.abc import Callable
from functools import partial

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau


class Optimization:
    """An optimizer and, if any, a schedule stepped once an epoch after validation.

    Args:
        optimizer: Makes the optimizer from (parameters, lr=, weight_decay=).
        lr: Initial learning rate.
        weight_decay: L2 penalty.
        schedule: Makes the schedule from (optimizer).

    Raises:
        ValueError: A rate is out of range.
    """

    def __init__(
        self,
        optimizer: Callable[..., Optimizer],
        lr: float,
        weight_decay: float = 0.0,
        schedule: Callable[..., LRScheduler] | None = None,
    ) -> None:
        if not lr > 0:
            raise ValueError(f"lr must be positive, got {lr}")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
        self.optimizer, self.schedule = optimizer, schedule
        self.lr, self.weight_decay = lr, weight_decay

    def build(self, network: nn.Module, monitor: str) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer over the network's parameters and its schedule.

        A plateau schedule is told which way the metric that it will be given gets better.
        """
        optimizer = self.optimizer(network.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        if self.schedule is None:
            return optimizer, None
        plateau = isinstance(self.schedule, partial) and self.schedule.func is ReduceLROnPlateau
        arguments = {"mode": better_is(monitor)} if plateau else {}
        return optimizer, self.schedule(optimizer, **arguments)


def better_is(monitor: str) -> str:
    """`min` for a loss, `max` for an accuracy."""
    return "min" if monitor.endswith("loss") else "max"
