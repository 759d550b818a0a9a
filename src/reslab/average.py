"""Copies of a network that follow its weights, and are evaluated in its place."""

from copy import deepcopy

import torch
from torch import Tensor, nn


def follower_of(network: nn.Module) -> nn.Module:
    """A copy of a network, as it stands, of which nothing is trained."""
    return deepcopy(network).requires_grad_(False)


class Following:
    """Has a copy of a network follow it: each of its weights, and BatchNorm's statistics alike.

    Args:
        copy: The copy, changed in place.
        network: The network.
    """

    def __init__(self, copy: nn.Module, network: nn.Module) -> None:
        # Once: to walk through a deep network at every step takes longer than to follow it.
        pairs = list(zip(copy.state_dict().values(), network.state_dict().values(), strict=True))
        self._real = _columns([pair for pair in pairs if pair[0].is_floating_point()])
        self._counts = _columns([pair for pair in pairs if not pair[0].is_floating_point()])

    def draw_near(self, share: float) -> None:
        """Moves the copy by a share of what it lacks; 1 is all. Counts it has at once."""
        ours, theirs = self._real
        torch._foreach_lerp_(ours, theirs, share)
        if self._counts[0]:
            torch._foreach_copy_(*self._counts)

    def pull_back(self) -> None:
        """Makes the network what the copy is."""
        ours, theirs = self._real
        torch._foreach_copy_(theirs, ours)


class MovingAverage(Following):
    """An exponential moving average: `a <- d a + (1 - d) w` after every step.

    In the first steps d is less, so that where training began is soon forgotten: after step t it is
    `min(d, (1 + t) / (10 + t))`, as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, copy: nn.Module, network: nn.Module, decay: float) -> None:
        super().__init__(copy, network)
        self.decay = decay

    def follow(self, step: int) -> None:
        """Takes in the weights after a step, counted from 1."""
        self.draw_near(1 - min(self.decay, (1 + step) / (10 + step)))


class Lookahead(Following):
    """Slow weights: `s <- s + (w - s) / 2`, `w <- s` after every so many steps.

    Zhang et al. 2019 (https://arxiv.org/abs/1907.08610), with their alpha of 0.5. The optimizer's
    momentum stays as it is, and BatchNorm's statistics go the way of the weights.
    """

    ALPHA = 0.5

    def __init__(self, copy: nn.Module, network: nn.Module, every: int) -> None:
        super().__init__(copy, network)
        self.every = every

    def follow(self, step: int) -> None:
        """Takes in the weights after a step, counted from 1, and at every k-th sets them back."""
        if step % self.every == 0:
            self.draw_near(self.ALPHA)
            self.pull_back()


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]
