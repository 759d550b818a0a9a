"""What is seen of a network from outside: its layers, its graph, its picture."""

import errno

import pytest
import torch

from networks import network
from processes import run
from reslab.analysis.diagram import draw_network
from reslab.analysis.graph import trace
from reslab.analysis.summary import count_parameters, list_layers
from reslab.config import compose
from reslab.errors import UserError
from reslab.runs.check import try_network
from reslab.runs.network import build_network


def test_layers_add_up_to_the_network():
    mini = network("model=mini_resnet")
    layers = list_layers(mini, (3, 32, 32))
    assert sum(layer.parameters for layer in layers) == count_parameters(mini)
    assert layers[0].output == (32, 32, 32)
    assert layers[-1].output == (10,)


def test_activations_are_the_tensors_that_a_forward_pass_makes():
    """Of a residual network in fp32: a convolution and a BatchNorm make one, ReLU is in place."""
    layers = list_layers(network("model=mini_resnet"), (3, 32, 32))
    stem = 2 * 32 * 32 * 32
    stages = sum(
        (4 * 2 + 2 + 2) * width * size**2 for width, size in [(32, 16), (64, 8), (128, 4), (256, 2)]
    )  # branches, sums, projection
    assert sum(layer.activation_bytes for layer in layers) == 4 * (stem + stages + 10 + 256)


@pytest.mark.parametrize(
    ("overrides", "steps", "skips"),
    [
        ("model=resnet18", 1 + 8 * 3 + 1, 8),
        ("model=resnet18 join=none", 1 + 8 * 2 + 1, 0),
        ("model=resnet18_imagenet", 2 + 8 * 3 + 1, 8),
        ("model=baseline_cnn", 4 * 2 + 1, 0),
        ("model=resnet110 join=pad", 1 + 54 * 3 + 1, 54),
    ],
)
def test_a_network_s_graph_has_its_layers_and_skips(overrides, steps, skips):
    path, edges = trace(network(*overrides.split()))
    assert len(path) == steps
    assert len(edges) == skips
    for edge in edges:
        assert path[edge.end].module is None
        between = [step for step in path[edge.start + 1 : edge.end] if step.module]
        assert [type(step.module) for step in between] == [torch.nn.Conv2d] * 2


class Odd(torch.nn.Module):
    """A parameter of its own, a layer used twice, a tuple, a product and a sum by method."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1, 4, 1, 1))
        self.first, self.twice = torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 4, 1)
        self.rnn = torch.nn.LSTM(4, 5, batch_first=True)

    def forward(self, x):
        x = self.first(x) * self.scale
        x = self.twice(self.twice(x)).add(x)
        return self.rnn(x.mean(3).transpose(1, 2))[0][:, -1]


def test_layers_of_an_odd_network_add_up():
    odd = Odd()
    layers = list_layers(odd, (3, 8, 8))
    assert sum(layer.parameters for layer in layers) == count_parameters(odd)
    assert layers[-1].kind == "Odd", "it has a parameter of its own"


def test_a_sum_by_method_is_a_skip_and_a_product_is_none():
    path, edges = trace(Odd())
    assert [step.name for step in path if step.module is None] == ["add"]
    (edge,) = edges
    assert [step.name for step in path[edge.start + 1 : edge.end]] == ["twice", "twice"]


def orange_pixels(path):
    """Of the color that skips are drawn in."""
    from PIL import Image

    pixels = torch.frombuffer(
        bytearray(Image.open(path).convert("RGB").tobytes()), dtype=torch.uint8
    )
    return int((pixels.view(-1, 3) == torch.tensor([0xD5, 0x5E, 0x00])).all(1).sum())


def test_a_drawing_shows_skips_where_there_are_some(tmp_path):
    counts = []
    for number, overrides in enumerate(["model=resnet18", "model=mini_resnet join=none"]):
        net = network(*overrides.split())
        path = draw_network(net, list_layers(net, (3, 32, 32)), tmp_path / f"{number}.png")
        counts.append(orange_pixels(path))
    assert counts[0] > 8 * 300, "eight lines of some inches, two pixels wide"
    assert counts[1] == 0


@pytest.mark.parametrize("ending", ["pdf", "svg", "PNG"])
def test_a_drawing_has_the_format_of_its_name(ending, tmp_path):
    net = network("model=baseline_cnn")
    path = draw_network(net, list_layers(net, (3, 32, 32)), tmp_path / f"x.{ending}")
    start = {"pdf": b"%PDF", "svg": b"<?xml", "PNG": b"\x89PNG"}[ending]
    assert path.read_bytes().startswith(start)


def test_a_network_that_cannot_be_traced_is_refused(tmp_path):
    class Branching(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1)) if x.sum() > 0 else x

    outer = torch.nn.Sequential(Branching(192, 2))
    outer[0].__class__.__module__ = "mine"
    with pytest.raises(UserError, match="traced"):
        draw_network(outer, [], tmp_path / "x.png")


def test_projections_stand_on_the_skips_that_change_the_shape():
    path, edges = trace(network("model=resnet18"))
    projected = [edge for edge in edges if edge.modules]
    assert [path[edge.start + 1].name for edge in projected] == [
        f"stages.{stage}.0.branch.0" for stage in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("liu_goh/no_skip", "11,000,138"),
        ("liu_goh/resnet18", "11,178,186"),
        ("liu_goh/mini_resnet", "2,798,698"),
        ("liu_goh/baseline_cnn", "391,946"),
        ("system/mnist", "11,172,810"),
        ("system/cifar10", "11,173,962"),
        ("virakden", "11,172,810"),
        ("bhise_karale", "4,893,566"),
        ("he2016/resnet20", "269,722"),
        ("he2016/resnet32", "464,154"),
        ("he2016/resnet44", "658,586"),
        ("he2016/resnet56", "853,018"),
        ("he2016/resnet110", "1,727,962"),
    ],
)
def test_summary_prints_the_published_count(recipe, parameters, tmp_path):
    finished = run(tmp_path, "summary", f"recipe={recipe}")
    assert f"parameters: {parameters}" in finished.out.splitlines()
    assert not list(tmp_path.glob("outputs/*"))


def test_a_disk_s_fault_is_not_called_the_network_s(monkeypatch):
    def no_space(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    cfg = compose(["model=mini_resnet"])
    monkeypatch.setattr("reslab.analysis.summary.list_layers", no_space)
    with pytest.raises(OSError, match="No space"):
        try_network(cfg, build_network(cfg))
