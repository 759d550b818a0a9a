"""The loss around a trained network's weights, along directions with the norms of its filters.

Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, https://arxiv.org/abs/1712.09913.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from reslab.analysis.fold import fold_batch_norms

Direction = dict[str, Tensor]
"""A parameter's name to how far it moves in one step; those without one stay."""


def draw_direction(network: nn.Module, seed: int) -> Direction:
    """A random direction, filter-normalized.

    Of each convolution and linear layer's weight `[out, ...]` every filter `[...]` is drawn from a
    normal distribution and scaled to the norm that the network's own filter has. Biases and what
    normalizes stay: a network with BatchNorm does not change with its filters' scale, and a step
    would mean another thing in each layer.
    """
    generator = torch.Generator().manual_seed(seed)
    direction = {}
    for name, weight in network.named_parameters():
        if weight.ndim < 2:
            continue
        drawn = torch.randn(weight.shape, generator=generator)
        kept = tuple(range(1, weight.ndim))
        norms = [one.square().sum(kept, keepdim=True).sqrt() for one in (drawn, weight.detach())]
        direction[name] = drawn / norms[0] * norms[1]
    return direction


def folded(network: nn.Module, direction: Direction) -> Direction:
    """The same direction of the network with its BatchNorm folded, see `fold_batch_norms`.

    What is folded into a convolution scales its filters, and so the steps of these.
    """
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for name, step in direction.items():
            moved.get_parameter(name).add_(step)
    origin = dict(fold_batch_norms(network).named_parameters())
    steps = {
        name: (parameter - origin[name]).detach()
        for name, parameter in fold_batch_norms(moved).named_parameters()
    }
    return {name: step for name, step in steps.items() if step.any()}


class Plane:
    """A network whose weights move in the plane of two directions, from where they are.

    Args:
        network: It; its parameters are changed in place, whatever type and device they have.
        origin: The parameters in full precision, by their names.
        directions: The two.
    """

    def __init__(
        self, network: nn.Module, origin: Mapping[str, Tensor], directions: Sequence[Direction]
    ) -> None:
        parameters = dict(network.named_parameters())
        self._moving = []
        for name in {name: None for direction in directions for name in direction}:
            moved = parameters[name]
            still = torch.zeros_like(origin[name])
            parts = [origin[name], *(direction.get(name, still) for direction in directions)]
            layout = _layout(moved)
            there = [part.detach().to(moved.device, memory_format=layout) for part in parts]
            self._moving.append((moved, *there))

    @torch.no_grad()
    def move(self, first: float, second: float) -> None:
        """Puts the weights that many steps from their origin."""
        for moved, origin, one, other in self._moving:
            moved.copy_(torch.add(origin, one, alpha=first).add_(other, alpha=second))


def _layout(parameter: Tensor) -> torch.memory_format:
    last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.preserve_format


def losses(
    plane: Plane,
    places: Sequence[tuple[float, float]],
    logits: Callable[[], Tensor],
    labels: Tensor,
) -> Iterator[tuple[float, float]]:
    """Mean cross-entropy and accuracy at each place, in turn.

    Args:
        plane: Where the network's weights move.
        places: Steps along both directions.
        logits: Computes those of the images `[N, K]` with the network as it is.
        labels: The images' `[N]`.
    """
    for place in places:
        plane.move(*place)
        found = logits().detach().double()
        right = (found.argmax(1) == labels).double().mean()
        yield float(F.cross_entropy(found, labels)), float(right)


def steps(points: int, reach: float) -> list[float]:
    """So many steps, from `-reach` to `reach`, at equal distances."""
    return [reach * ((2 * at - points + 1) / (points - 1)) for at in range(points)]
