"""What turns gradients into updates: an optimizer and its learning-rate schedule."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, SequentialLR

from reslab.monitor import better_is
from reslab.ranges import check_number

INTERVALS = ("epoch", "step")
LARGEST = 1e6  # rate or decay, beyond which nothing is meant

# Names and meaning as of Lightning's `gradient_clip_algorithm`.
CLIP: dict[str, Callable[..., Any]] = {
    "norm": nn.utils.clip_grad_norm_,
    "value": nn.utils.clip_grad_value_,
}


class Optimization:
    """An optimizer and, if any, a schedule.

    Args:
        optimizer: Makes the optimizer from (parameters, lr=, weight_decay=).
        lr: Initial learning rate.
        weight_decay: L2 penalty.
        schedule: Makes the schedule from (optimizer).
        interval: What the schedule counts: `epoch` (stepped after validation) or `step`.
        decay_all: Whether biases and normalization layers are decayed too, as in the papers here.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        optimizer: Callable[..., Optimizer],
        lr: float,
        weight_decay: float = 0.0,
        schedule: Callable[..., LRScheduler] | None = None,
        interval: str | None = None,
        decay_all: bool | None = None,
    ) -> None:
        check_number("lr", lr, 0, LARGEST, without_low=True)
        check_number("weight_decay", weight_decay, 0, LARGEST)
        if interval not in (None, *INTERVALS):
            raise ValueError(f"interval must be one of {', '.join(INTERVALS)}, got {interval}")
        self.optimizer, self.schedule = optimizer, schedule
        self.lr, self.weight_decay = lr, weight_decay
        if decay_all is not None and not isinstance(decay_all, bool):
            raise ValueError(f"decay_all must be true or false, got {decay_all}")
        self.interval = interval or "epoch"
        self.decay_all = decay_all is not False

    def build(self, network: nn.Module, monitor: str) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer over the network's parameters and its schedule.

        A plateau schedule is told which way the metric that it will be given gets better.

        Raises:
            ValueError: The schedule needs a metric after each step.
        """
        optimizer = self.optimizer(
            self._parameters(network), lr=self.lr, weight_decay=self.weight_decay
        )
        if self.schedule is None:
            return optimizer, None
        plateau = isinstance(self.schedule, partial) and self.schedule.func is ReduceLROnPlateau
        if plateau and self.interval == "step":
            raise ValueError("a plateau schedule goes by validation: interval must be epoch")
        arguments = {"mode": better_is(monitor)} if plateau else {}
        return optimizer, self.schedule(optimizer, **arguments)

    def _parameters(self, network: nn.Module) -> Any:
        parameters = [p for p in network.parameters() if p.requires_grad]
        if self.decay_all:
            return parameters
        # Biases and the scales of normalization layers are the parameters of one dimension.
        return [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]


class InTurn(SequentialLR):
    """Schedules one after the other, as configurations can say it.

    Args:
        optimizer: The optimizer.
        schedules: Each makes a schedule from (optimizer).
        milestones: Steps at which the second, third ... schedule begins.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedules: Sequence[Callable[[Optimizer], LRScheduler]],
        milestones: Sequence[int],
    ) -> None:
        super().__init__(optimizer, [make(optimizer) for make in schedules], list(milestones))
