import math

import pytest
import torch
import torchvision
from torch import nn

from networks import network
from reslab.analysis.summary import count_parameters, list_layers
from reslab.config import list_options
from reslab.errors import UserError
from reslab.nn import AddJoin, NoJoin, PadJoin
from reslab.nn.blocks import BasicBlock, Head

# Trainable parameters as published, or as the definition in the paper gives them by hand.
PARAMETERS = {
    "resnet18, 3 channels": (("model=resnet18",), 11_173_962),
    "resnet18, 1 channel": (("model=resnet18",), 11_172_810),
    "resnet18, stem stride 2": (("model=resnet18_stride2",), 11_173_962),
    "Liu & Goh ResNet-18": (("model=resnet18_liu_goh",), 11_178_186),
    "Liu & Goh no skip": (("model=resnet18_liu_goh", "join=none"), 11_000_138),
    "Liu & Goh Mini-ResNet": (("model=mini_resnet",), 2_798_698),
    "Liu & Goh baseline CNN": (("model=baseline_cnn",), 391_946),
    "Liu & Goh ResNet-18, stride 1": (("model=resnet18_projections",), 11_178_186),
    "Liu & Goh Mini-ResNet, stride 1": (("model=mini_resnet_stride1",), 2_798_698),
    "Bhise & Karale": (("model=compact_resnet",), 4_893_566),
    "ResNet-10 of half widths": (("model=resnet10_stride2",), 1_228_970),
    "ResNet-20": (("model=resnet20", "join=pad"), 269_722),
    "ResNet-32": (("model=resnet32", "join=pad"), 464_154),
    "ResNet-44": (("model=resnet44", "join=pad"), 658_586),
    "ResNet-56": (("model=resnet56", "join=pad"), 853_018),
    "ResNet-110": (("model=resnet110", "join=pad"), 1_727_962),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_the_published_ones(name):
    overrides, expected = PARAMETERS[name]
    channels = 1 if "1 channel" in name else 3
    assert count_parameters(network(*overrides, channels=channels)) == expected


def test_baseline_cnn_has_the_paper_s_total_with_running_statistics():
    cnn = network("model=baseline_cnn")
    running = sum(b.numel() for n, b in cnn.named_buffers() if "running" in n)
    assert count_parameters(cnn) + running == 392_906


def residual_macs(widths, strides, size, channels, *, skip, stem_stride=1, blocks=None):
    """By the definition: every convolution's output pixels x kernel x channels in x channels out."""
    size = -(-size // stem_stride)
    total = size * size * 9 * channels * widths[0]
    channels = widths[0]
    blocks = blocks or [2] * len(widths)
    for width, stride, depth in zip(widths, strides, blocks, strict=True):
        size = -(-size // stride)
        total += size * size * 9 * (channels * width + (2 * depth - 1) * width * width)
        if skip and (stride != 1 or channels != width):
            total += size * size * channels * width
        channels = width
    return total + channels * 10


def cnn_macs(size, channels):
    total = 0
    for width in (32, 64, 128, 256):
        total += size * size * 9 * channels * width
        size, channels = size // 2, width
    return total + channels * 10


FULL, HALF = (64, 128, 256, 512), (32, 64, 128, 256)
MACS = {
    "resnet18": (
        ("model=resnet18",),
        residual_macs(FULL, (1, 2, 2, 2), 32, 3, skip=True),
        "0.555",
    ),
    "resnet18, stem stride 2": (
        ("model=resnet18_stride2",),
        residual_macs(FULL, (1, 2, 2, 2), 32, 3, skip=True, stem_stride=2),
        "0.139",
    ),
    "Liu & Goh ResNet-18": (
        ("model=resnet18_liu_goh",),
        residual_macs(FULL, (2, 2, 2, 2), 32, 3, skip=True),
        "0.141",
    ),
    "Liu & Goh no skip": (
        ("model=resnet18_liu_goh", "join=none"),
        residual_macs(FULL, (2, 2, 2, 2), 32, 3, skip=False),
        "0.139",
    ),
    "Liu & Goh Mini-ResNet": (
        ("model=mini_resnet",),
        residual_macs(HALF, (2, 2, 2, 2), 32, 3, skip=True),
        "0.036",
    ),
    "Liu & Goh baseline CNN": (("model=baseline_cnn",), cnn_macs(32, 3), "0.015"),
    "Liu & Goh Mini-ResNet, stride 1": (
        ("model=mini_resnet_stride1",),
        residual_macs(HALF, (1, 2, 2, 2), 32, 3, skip=True) + 32 * 32 * 32 * 32,
        "0.140",
    ),
    "ResNet-10 of half widths": (
        ("model=resnet10_stride2",),
        residual_macs(HALF, (1, 2, 2, 2), 32, 3, skip=True, stem_stride=2, blocks=(1, 1, 1, 1)),
        "0.016",
    ),
    "Bhise & Karale": (
        ("model=compact_resnet",),
        residual_macs(
            (36, 72, 144, 256, 64), (1, 2, 2, 2, 2), 32, 3, skip=True, blocks=(3, 3, 3, 3, 1)
        ),
        "0.259",
    ),
} | {
    f"ResNet-{6 * n + 2}": (
        (f"model=resnet{6 * n + 2}", "join=pad"),
        residual_macs((16, 32, 64), (1, 2, 2), 32, 3, skip=False, blocks=(n, n, n)),
        billions,
    )
    for n, billions in [(3, "0.041"), (5, "0.069"), (7, "0.097"), (9, "0.125"), (18, "0.253")]
}


@pytest.mark.parametrize("name", MACS)
def test_macs_are_those_of_the_definition(name):
    overrides, expected, billions = MACS[name]
    layers = list_layers(network(*overrides), (3, 32, 32))
    assert sum(layer.macs for layer in layers) == expected
    assert f"{expected / 1e9:.3f}" == billions


def test_resnet18_with_the_imagenet_stem_equals_torchvision_s():
    theirs = torchvision.models.resnet18(num_classes=10)
    for name, buffer in theirs.named_buffers():  # untrained statistics would hide a swapped layer
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    ours = network("model=resnet18_imagenet")
    source, target = theirs.state_dict(), ours.state_dict()
    assert [v.shape for v in source.values()] == [v.shape for v in target.values()]
    ours.load_state_dict(dict(zip(target, source.values(), strict=True)))
    images = torch.randn(4, 3, 224, 224)
    with torch.no_grad():
        expected, actual = theirs.eval()(images), ours.eval()(images)
    assert torch.allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("channels", [2, 7])
def test_networks_take_any_number_of_channels(channels):
    images = torch.randn(2, channels, 32, 32)
    for model in list_options("model"):
        built = network(f"model={model}", channels=channels, num_classes=5)
        assert built(images).shape == (2, 5)


def test_joins_by_their_equations():
    x, branch = torch.randn(2, 8, 6, 6), torch.randn(2, 8, 6, 6)
    assert torch.equal(AddJoin(8, 8, 1)(x, branch), x + branch)
    assert torch.equal(NoJoin(8, 8, 1)(x, branch), branch)
    halved = torch.randn(2, 16, 3, 3)
    join = AddJoin(8, 16, 2).eval()
    projection = torch.einsum(
        "bchw,kc->bkhw", x[:, :, ::2, ::2], join.shortcut[0].weight[:, :, 0, 0]
    )
    expected = projection / (1 + 1e-5) ** 0.5 + halved
    assert torch.allclose(join(x, halved), expected, atol=1e-5)
    padded = torch.cat([x[:, :, ::2, ::2], torch.zeros(2, 8, 3, 3)], dim=1)
    assert torch.equal(PadJoin(8, 16, 2)(x, halved), padded + halved)
    assert not list(PadJoin(8, 16, 2).parameters())


def test_a_join_that_pads_cannot_narrow():
    with pytest.raises(UserError, match="join=add"):
        network("model=compact_resnet", "join=pad")


def test_resnet34_is_torchvision_s():
    theirs = torchvision.models.resnet34(num_classes=10)
    ours = network("model=resnet34", "model.stem=conv7x7_pool")
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]


def test_an_identity_branch_free_block_is_relu_of_its_input():
    block = BasicBlock(8, 8, 1, AddJoin)
    torch.nn.init.zeros_(block.branch[-1].weight)
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(block(x), x.relu())


def test_the_head_is_fp32_under_autocast():
    head = Head(16, 10, dropout=0.0)
    features = torch.randn(4, 16, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(features)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, head(features))


def test_dropout_drops_the_given_share():
    head = Head(100_000, 1, dropout=0.3).train()
    kept = head.dropout(torch.ones(100_000)).count_nonzero().item() / 100_000
    assert kept == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("model.stem=conv5x5", "stem"),
        ("model.strides=[1,2]", "strides"),
        ("model.dropout=1.0", "dropout"),
        ("model.widths=8", "widths must be a list"),
        ("model.blocks=[2,2,2,0]", "blocks must be a whole number at least 1, got 0"),
        ("model.strides=[]", "strides must have at least one entry"),
    ],
)
def test_wrong_arguments_are_named(override, named):
    with pytest.raises(UserError, match=named):
        network(override)


def test_layers_as_keras_has_them_are_drawn_and_normalize_as_there():
    """The oracle is Keras' documentation: limits of its Glorot uniform, its BatchNormalization."""
    drawn = network("model=mini_resnet", "model.layers_as=keras")
    for layer in drawn.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            weight = layer.weight.detach()
            limit = math.sqrt(6 / (math.prod(weight.shape[2:]) * sum(weight.shape[:2])))
            assert 0.9 * limit < weight.abs().max() <= limit
            assert weight.std() == pytest.approx(limit / math.sqrt(3), rel=0.1)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.eps, layer.momentum) == (1e-3, pytest.approx(1 - 0.99))
    with pytest.raises(UserError, match=r"layers_as must be keras or null, got keros"):
        network("model=mini_resnet", "model.layers_as=keros")


def test_a_projection_in_every_stage_is_in_its_first_block_alone_and_only_where_joins_have_one():
    convolutions = [
        [isinstance(block.join.shortcut, nn.Sequential) for block in stage]
        for stage in network("model=resnet18_projections").stages
    ]
    assert convolutions == [[True, False]] * 4
    for join in ("none", "pad"):
        without = count_parameters(network("model=resnet18_projections", f"join={join}"))
        assert without == count_parameters(network("model=resnet18", f"join={join}"))
