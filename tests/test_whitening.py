"""A layer that whitens, against what whitening is and against the convolution that it stands in."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from processes import run
from reslab.analysis.fold import fold_batch_norms
from reslab.callbacks.whitening import _normalized
from reslab.nn import ResNet
from reslab.nn.stems import STEMS
from reslab.nn.whitening import EPSILON, Whitening, yet_to_learn
from reslab.predicting.load import data_of, load
from reslab.preprocess import Normalization
from reslab.runs import checkpoint as files
from training import EVERY_STEP, only_run


def natural(number: int, channels: int = 3, size: int = 12) -> torch.Tensor:
    """Images whose pixels are like their neighbors, and whose channels are like each other."""
    noise = torch.randn(number, channels, size + 4, size + 4)
    return F.avg_pool2d(noise + 2 * noise.mean(1, keepdim=True), 5, 1) * 5 + 0.3


def patches(images: torch.Tensor, size: int = 3) -> torch.Tensor:
    """All within the images, cut out one by one: `[P, C k k]`."""
    rows, columns = (n - size + 1 for n in images.shape[2:])
    return torch.cat(
        [
            images[:, :, y : y + size, x : x + size].flatten(1)
            for y in range(rows)
            for x in range(columns)
        ]
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_what_comes_out_is_uncorrelated_and_of_variance_1(channels):
    images = natural(700, channels)
    layer = Whitening(channels, 3, 1)
    layer.learn([images])
    within = layer(images)[:, :, 1:-1, 1:-1].transpose(0, 1).flatten(1)
    expected = torch.cov(patches(images).T.double(), correction=0)
    shrunk = torch.linalg.eigvalsh(expected)
    assert shrunk.max() / shrunk.min() > 20  # it was not white before
    found = torch.cov(within.double(), correction=0)
    off = torch.linalg.eigvalsh(found) - (shrunk / (shrunk + EPSILON))
    assert off.abs().max() < 1e-4
    # Of all ways that which changes least: the filters, as a matrix, are symmetric and positive.
    matrix = layer.filters.flatten(1)
    assert torch.allclose(matrix, matrix.T, atol=1e-5)
    assert torch.linalg.eigvalsh(matrix).min() > 0


def test_before_it_has_learned_it_gives_patches_as_they_are():
    images = natural(4)
    layer = Whitening(3, 3, 1)
    assert not layer.has_learned
    within = layer(images)[:, :, 1:-1, 1:-1].permute(2, 3, 0, 1).flatten(0, 2)
    assert torch.equal(within, patches(images))
    layer.learn([natural(50)])
    assert layer.has_learned


@pytest.mark.parametrize(("stem", "usual"), [(f"whitened_{one}", one) for one in list(STEMS)[:2]])
def test_with_the_convolution_behind_it_it_is_one_of_the_usual_stem_s(stem, usual):
    torch.manual_seed(0)
    images = natural(8)
    whitened, plain = STEMS[stem](3, 5).eval(), STEMS[usual](3, 5).eval()
    whitened[0].learn([natural(100)])
    merged = torch.einsum("oi,icyx->ocyx", whitened[1].weight[:, :, 0, 0], whitened[0].filters)
    plain[0].weight.data.copy_(merged)
    assert torch.allclose(whitened(images), plain(images), atol=1e-4)
    sizes = [sum(p.numel() for p in one.parameters()) for one in (whitened, plain)]
    assert sizes[0] == sizes[1]  # its filters are not trained


def test_it_does_not_depend_on_how_many_images_are_taken_at_once():
    images = natural(120)
    at_once, by_tens = Whitening(3, 3, 1), Whitening(3, 3, 1)
    at_once.learn([images])
    by_tens.learn(images.split(10))
    assert torch.allclose(at_once.filters, by_tens.filters, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2])
def test_of_images_smaller_than_a_patch_it_learns_what_it_sees_of_them(size):
    images = torch.randn(400, 1, size, size)
    layer = Whitening(1, 3, 1)
    layer.learn([images])
    found = torch.cov(layer(images).transpose(0, 1).flatten(1), correction=0)
    variances = torch.linalg.eigvalsh(found)  # 1, or 0 in directions in which nothing varies
    assert ((variances < 1e-4) | ((variances - 1).abs() < 0.01)).all()
    assert (variances > 0.5).any()


def test_where_others_compute_in_bf16_it_does_not():
    images = natural(300)
    layer = Whitening(3, 3, 1)
    layer.learn([images])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(images), layer(images.float()))
        assert layer(images).dtype == torch.float32
        assert nn.Conv2d(3, 1, 1)(images).dtype == torch.bfloat16  # the others do
    assert torch.equal(layer(images), layer._apart(images))


class Data:
    """What a callback asks of a data module whose normalization lies on another device."""

    def __init__(self, number: int, size: int, device: str) -> None:
        self.train_images = torch.zeros(number, 3, size, size, dtype=torch.uint8)
        self.train_images += torch.arange(number).view(-1, 1, 1, 1).to(torch.uint8)
        self.normalization = Normalization((0.0,) * 3, (1.0,) * 3).to(device)


def test_images_that_it_learns_of_are_of_all_parts_and_few_at_once_and_where_they_are_normalized():
    batches = list(_normalized(Data(6100, 8, "meta")))
    assert {batch.device.type for batch in batches} == {"meta"}
    assert sum(map(len, batches)) == 2000
    large = [len(batch) for batch in _normalized(Data(5, 512, "cpu"))]
    assert large == [2, 2, 1]
    seen = torch.cat(list(_normalized(Data(250, 2, "cpu"))))[:, 0, 0, 0]
    assert torch.allclose(seen, torch.arange(250) / 255)
    spread = torch.cat(list(_normalized(Data(10_000, 1, "cpu"))))[:, 0, 0, 0]
    assert len(spread) == 2000
    assert spread[1] == pytest.approx(5 / 255)


def test_images_of_one_color_and_fewer_than_a_patch_has_numbers_come_to_finite_filters():
    layer = Whitening(3, 3, 1)
    layer.learn([torch.ones(2, 3, 4, 4)])
    assert layer.filters.isfinite().all()


def network(stem: str) -> nn.Module:
    return ResNet(3, 10, stem=stem, widths=[8, 8], blocks=[1, 1], strides=[1, 2])


def test_a_network_with_it_computes_the_same_when_it_is_folded():
    one = network("whitened_conv3x3")
    assert len(yet_to_learn(one)) == 1
    yet_to_learn(one)[0].learn([natural(50)])
    assert yet_to_learn(one) == []
    one.train()(natural(64))  # has its statistics move
    images = natural(4)
    assert torch.allclose(fold_batch_norms(one)(images), one.eval()(images), atol=1e-4)


WHITE = (
    "model=resnet20",
    "model.stem=whitened_conv3x3",
    "model.widths=[4,4,8]",
    "ema=0.9",
    "lookahead=4",
)


@pytest.mark.slow
def test_a_run_learns_it_of_its_training_images_and_goes_on_with_it_to_the_same_bits(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    asked = ("train", *WHITE, "trainer.max_epochs=2", "logger=none", "trainer=exact")
    assert run(whole, *asked).code == 0
    assert run(killed, *asked, EVERY_STEP, kill=("step", 30)).killed
    again = run(killed, *asked, EVERY_STEP)
    assert again.code == 0, again.err
    assert "resuming at step" in again.err
    states = [
        files.load(only_run(folder) / "checkpoints/last.ckpt")["state_dict"]
        for folder in (whole, killed)
    ]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    data = data_of(load(only_run(whole)))
    expected = Whitening(1, 3, 1)
    expected.learn([data.normalization(data.train_images / 255)])  # all of them are few
    assert expected.has_learned
    for name in ("network", "averaged", "slow"):
        assert torch.allclose(states[0][f"{name}.stem.0.filters"], expected.filters, atol=1e-6)
