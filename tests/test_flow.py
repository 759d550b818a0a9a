"""How gradients flow before training, held against what theory and arithmetic say of them."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reslab.analysis.flow import gradient_correlation, gradient_norms
from reslab.analyze.flow import flow
from reslab.config import compose
from reslab.errors import UserError
from reslab.runs.network import build_network


def test_norms_are_those_of_the_chain_rule():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(5, 12)), random.normal(size=(3, 5))
    images, labels = random.normal(size=(7, 3, 2, 2)), np.array([0, 1, 2, 0, 1, 2, 2])
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Linear(5, 3)).double()
    for layer, weight in ((network[1], first), (network[2], second)):
        layer.weight.data, layer.bias.data = (
            torch.from_numpy(weight),
            torch.zeros(len(weight)).double(),
        )
    pixels = images.reshape(7, 12)
    hidden = pixels @ first.T
    shares = np.exp(hidden @ second.T)
    shares /= shares.sum(1, keepdims=True)
    behind = (shares - np.eye(3)[labels]) / 7  # d loss / d logits
    found = gradient_norms(network, torch.from_numpy(images), torch.from_numpy(labels))
    assert list(found) == ["1", "2"]
    assert found["2"] == pytest.approx(np.linalg.norm(behind.T @ hidden))
    assert found["1"] == pytest.approx(np.linalg.norm((behind @ second).T @ pixels))


def test_without_skips_gradients_grow_as_mean_field_theory_says():
    """Yang et al. 2019: squared, by pi / (pi - 1) with each layer of wide ReLU and BatchNorm."""
    torch.default_generator.manual_seed(0)
    width, depth = 300, 24
    layers = [nn.Flatten()]
    for _ in range(depth):
        linear = nn.Linear(width, width, bias=False)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        layers += [linear, nn.BatchNorm1d(width), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(width, 10))
    images, labels = torch.randn(256, 1, 1, width), torch.randint(10, (256,))
    norms = np.array(list(gradient_norms(network, images, labels).values()))[2:-4]
    slope = np.polyfit(np.arange(len(norms)), np.log(norms**2), 1)[0]
    assert slope == pytest.approx(-math.log(math.pi / (math.pi - 1)), rel=0.1)


def test_what_is_on_a_skip_is_beside_the_layers():
    network = build_network(compose(["model=mini_resnet", "dataset=digits"]))
    norms = gradient_norms(network, torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3]))
    assert next(iter(norms)).startswith("stem")
    assert list(norms)[-1] == "head.classifier"
    assert not [name for name in norms if "join" in name]
    assert [name for name, _ in network.named_parameters() if "join" in name], "there are some"


class HalfSquare(nn.Module):
    """Whose gradient is the image itself."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.square().flatten(1).sum(1, keepdim=True) / 2


def test_correlation_is_the_cosine_between_gradients_by_distance():
    start, end = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
    found = gradient_correlation(HalfSquare(), start, end, 9)
    line = [(1 - share) * start.numpy() + share * end.numpy() for share in np.linspace(0, 1, 9)]
    line = [one.ravel() / np.linalg.norm(one) for one in line]
    expected = [
        np.mean([line[at] @ line[at + apart] for at in range(9 - apart)]) for apart in range(3)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(48, 10))
    np.testing.assert_allclose(gradient_correlation(linear, start, end, 8), np.ones(3), rtol=1e-5)


def test_batch_norm_has_the_statistics_of_the_line_for_a_correlation():
    """Gradients of half the square are (x - mean) / variance, channel by channel."""
    noise = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    start, end = noise * torch.tensor([0.5, 2, 6])[:, None, None] + 3
    network = nn.Sequential(nn.BatchNorm2d(3, eps=1e-9, affine=False), HalfSquare())
    network(7 * noise)  # other statistics are there before
    found = gradient_correlation(network, start, end, 9)
    line = np.stack([(1 - at) * start.numpy() + at * end.numpy() for at in np.linspace(0, 1, 9)])
    rows = (line - line.mean((0, 2, 3), keepdims=True)) / line.var((0, 2, 3), keepdims=True)
    rows = rows.reshape(9, -1) / np.linalg.norm(rows.reshape(9, -1), axis=1, keepdims=True)
    cosines = rows @ rows.T
    expected = [cosines.diagonal(apart).mean() for apart in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_network_is_drawn_with_its_skips_and_without(in_empty_folder):
    asked = ["model=resnet20", "dataset=digits", "dataset.size=16"]
    (skips, plain), written = flow(asked, seeds=2, images=16)
    assert [one.title for one in (skips, plain)] == ["resnet20, skips", "resnet20, no skips"]
    assert skips.norms.shape == plain.norms.shape == (2, 20)
    assert not np.array_equal(skips.norms[0], skips.norms[1]), "each seed draws its own"
    assert plain.norms[:, 0].min() > skips.norms[:, 0].max()
    assert plain.correlations[:, 1].max() < skips.correlations[:, 1].min() < 1
    assert {path.name for path in written} == {"flow.png", "flow.pdf", "flow.html"}
    assert Image.open(written[0]).size[0] > 1000
    assert "resnet20, no skips" in written[2].read_text()
    again, _ = flow([*asked, "join=none"], seeds=1, images=16)
    assert [one.title for one in again] == ["resnet20, no skips"], "join was chosen"
    np.testing.assert_array_equal(again[0].norms[0], plain.norms[0])


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (["model=resnet21"], "resnet21"),
        (["model.widths=[0]"], "widths"),
        (["model=resnet20,resnet32,resnet44,resnet56,resnet110"], "that is 10 networks in one"),
        (["model=resnet20", "seed=range(9)"], "more than 8"),
        (["model=resnet20", "dataset=mnist", "data_dir=nowhere", "dataset.fetch=false"], "fetch"),
    ],
)
def test_what_cannot_be_meant_is_one_line(asked, line, in_empty_folder):
    with pytest.raises(UserError, match=line):
        flow(["dataset=digits", *asked] if "dataset=mnist" not in asked else asked, seeds=1)
    assert not (in_empty_folder / "outputs").exists()
