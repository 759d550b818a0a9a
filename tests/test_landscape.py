"""The loss around a network's weights, against networks that are moved by hand."""

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from reslab.analysis.fold import fold_batch_norms
from reslab.analysis.landscape import Plane, draw_direction, folded, losses, steps


@pytest.fixture
def network():
    class Double(nn.Module):
        def __init__(self):
            super().__init__()
            layers = (
                nn.Conv2d(1, 6, 3, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 4, 3),
            )
            self.stem = nn.Sequential(*layers)
            self.head = nn.Linear(4, 3)

        def forward(self, images):
            return self.head(self.stem(images).mean((2, 3)))

    network = Double()
    for _ in range(5):  # running statistics of its own
        network(3 + 2 * torch.randn(16, 1, 9, 9))
    nn.init.normal_(network.stem[1].weight, 1, 0.5)
    nn.init.normal_(network.stem[1].bias)
    return network.eval()


def test_a_step_is_as_long_as_each_filter_and_norms_and_biases_stay(network):
    direction = draw_direction(network, 0)
    assert set(direction) == {"stem.0.weight", "stem.3.weight", "head.weight"}
    for name, step in direction.items():
        weight = network.get_parameter(name)
        for drawn, own in zip(step, weight):
            assert drawn.norm() == pytest.approx(own.norm().item(), rel=1e-5)
        flat = F.cosine_similarity(step.flatten(), weight.flatten(), dim=0)
        assert abs(flat) < 0.9  # it is not the weight itself


def test_directions_are_drawn_by_the_seed_and_two_of_them_differ(network):
    one, again, other = (draw_direction(network, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


def by_hand(network, directions, place, images):
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for name, parameter in moved.named_parameters():
            for step, direction in zip(place, directions):
                if name in direction:
                    parameter += step * direction[name]
        return moved(images)


PLACES = [(0.0, 0.0), (1.0, 0.0), (-0.4, 0.7), (0.0, 0.0), (0.25, -1.0)]


@pytest.mark.parametrize("is_folded", [False, True])
def test_losses_are_those_of_networks_that_are_moved_by_hand(network, is_folded):
    """With BatchNorm folded, too, whose steps are those of the filters before it."""
    images, labels = 3 + 2 * torch.randn(40, 1, 9, 9), torch.randint(3, (40,))
    directions = [draw_direction(network, seed) for seed in (0, 1)]
    ours, ways = network, directions
    if is_folded:
        ours = fold_batch_norms(network)
        ways = [folded(network, direction) for direction in directions]
        assert not any(isinstance(module, nn.BatchNorm2d) for module in ours.modules())
    ours = copy.deepcopy(ours)
    origin = {name: one.detach().clone() for name, one in ours.named_parameters()}
    found = losses(Plane(ours, origin, ways), PLACES, lambda: ours(images), labels)
    for (loss, accuracy), place in zip(found, PLACES, strict=True):
        logits = by_hand(network, directions, place, images)
        each = torch.logsumexp(logits.double(), 1) - logits.double()[torch.arange(40), labels]
        assert loss == pytest.approx(each.mean().item(), rel=1e-4)
        assert accuracy == pytest.approx((logits.argmax(1) == labels).double().mean().item())


def test_steps_are_the_same_on_both_sides_of_the_origin():
    assert steps(3, 0.5) == [-0.5, 0, 0.5]
    found = steps(25, 0.7)
    assert found[12] == 0
    assert found == [-one for one in reversed(found)]
    assert found[-1] == 0.7
