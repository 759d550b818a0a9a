"""The ways to corrupt images: what holds of all, frost, and the two moves that are our own."""

import numpy as np
import pytest
import torch

from reslab.analysis import corruption
from reslab.analysis.corruption import KINDS, MOVES, PUBLISHED, SEVERITIES, corrupt

# Of these the benchmark's own levels do not grow in every regard.
NOT_EVER_FURTHER = {"glass_blur", "frost", "elastic_transform"}
FROST = [(1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)]
# Of pieces of 32 by 32 pixels of the benchmark's own photographs, at a fifth of their size: the
# mean of red, green and blue, the standard deviation, and how many of the five look so.
PHOTOGRAPHS = [
    ((76.7, 148.1, 164.8), 14.4, 1),
    ((198.5, 202.9, 212.2), 18.0, 2),
    ((143.5, 158.3, 171.0), 26.0, 1),
    ((102.9, 114.2, 126.0), 34.4, 1),
]


def made(number=60, channels=3, side=32):
    """Random pictures with coarse and with finer parts: noise enlarged from few pixels."""
    parts = []
    for few in (3, 9):
        noise = 255 * torch.rand(number, channels, few, few)
        parts.append(torch.nn.functional.interpolate(noise, side, mode="bicubic"))
    return (sum(parts) / 2).clamp(0, 255).byte()


def plain(level, channels=3, side=32, number=40):
    return torch.full((number, channels, side, side), level, dtype=torch.uint8)


def floats(images):
    return images.numpy().astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_keeps_shape_and_seed_and_changes_more_the_more_severe_it_is(kind):
    images = made()
    found = [corrupt(images, kind, severity, 3) for severity in SEVERITIES]
    assert all(one.dtype == torch.uint8 and one.shape == images.shape for one in found)
    distances = [((floats(one) - floats(images)) ** 2).mean() ** 0.5 for one in found]
    assert distances[0] > 0.3
    if kind not in NOT_EVER_FURTHER:
        assert distances == sorted(distances)
    assert torch.equal(corrupt(images, kind, 2, 3), found[1])
    is_drawn = kind not in {
        *("defocus_blur", "zoom_blur", "brightness"),
        *("contrast", "pixelate", "jpeg_compression"),
    }
    assert torch.equal(corrupt(images, kind, 2, 4), found[1]) != is_drawn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (1, 16), (1, 28), (3, 33)])
def test_small_and_gray_images_can_be_corrupted(kind, channels, side):
    images = made(3, channels, side)
    before = images.clone()
    for severity in (1, 5):
        found = corrupt(images, kind, severity)
        assert found.shape == images.shape
    assert not torch.equal(found, images)
    assert torch.equal(images, before), "what was given is changed"


def test_the_kinds_are_the_fifteen_of_the_benchmark_and_two_moves():
    assert " ".join(PUBLISHED) == (
        "gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur "
        "snow frost fog brightness contrast elastic_transform pixelate jpeg_compression"
    )
    assert " ".join(MOVES) == "shift rotation"


def test_a_gray_image_is_corrupted_as_one_of_equal_channels():
    images = made(20, 1) // 2  # that no channel is cut at 255
    for kind in KINDS:
        if "noise" in kind:  # which is drawn for each channel
            continue
        gray = floats(corrupt(images, kind, 4))[:, 0]
        red, green, blue = floats(corrupt(images.repeat(1, 3, 1, 1), kind, 4)).transpose(1, 0, 2, 3)
        assert np.abs(0.299 * red + 0.587 * green + 0.114 * blue - gray).max() <= 2, kind


@pytest.mark.parametrize("severity", SEVERITIES)
def test_frost_adds_a_share_of_what_looks_as_the_photographs_do(severity):
    kept, added = FROST[severity - 1]
    black = torch.zeros(100, 3, 32, 32, dtype=torch.uint8)
    ice, over = (corrupt(x, "frost", severity).numpy().astype(float) for x in (black, black + 70))
    assert np.abs(over - ice - 70 * kept).max() <= 1
    ice = (ice + 0.5) / added
    means, stds = ice.mean((2, 3)), ice.std((2, 3)).mean(1)
    looks = np.array([color for color, _, _ in PHOTOGRAPHS])
    nearest = np.abs(means[:, None] - looks).sum(2).argmin(1)
    for at, (color, std, number) in enumerate(PHOTOGRAPHS):
        these = nearest == at
        assert these.mean() == pytest.approx(number / 5, abs=0.12)
        np.testing.assert_allclose(means[these].mean(0), color, atol=2)
        assert stds[these] == pytest.approx(std, abs=1)


def test_images_in_chunks_are_drawn_for_as_if_at_once(monkeypatch):
    images = made(5)
    at_once = corrupt(images, "gaussian_noise", 3)
    monkeypatch.setattr(corruption, "CHUNK", 2)
    assert torch.equal(corrupt(images, "gaussian_noise", 3), at_once)


def test_shift_moves_all_by_whole_pixels_in_one_of_four_directions():
    images = made(40)
    found = corrupt(images, "shift", 2)  # an eighth: 4 of 32 pixels
    seen = set()
    for one, moved in zip(images, found):
        for axis in (1, 2):
            for pixels in (-4, 4):
                rolled = one.roll(pixels, axis)
                kept = (slice(None), slice(4, -4), slice(4, -4))
                if torch.equal(rolled[kept], moved[kept]):
                    seen.add((axis, pixels))
                    edge = moved.select(axis, 0 if pixels > 0 else -1)
                    assert torch.equal(edge, one.select(axis, 0 if pixels > 0 else -1))
    assert len(seen) == 4


def test_rotation_turns_by_degrees_to_both_sides():
    number, side = 40, 33
    bar = plain(0, 1, side, number)
    bar[..., 16, 26] = 255  # ten pixels right of the middle
    found = floats(corrupt(bar, "rotation", 5))[:, 0]  # 30 degrees
    rows = (found.sum(2) * np.arange(side)).sum(1) / found.sum((1, 2)) - 16
    columns = (found.sum(1) * np.arange(side)).sum(1) / found.sum((1, 2)) - 16
    assert np.abs(rows) == pytest.approx(10 * np.sin(np.pi / 6), abs=0.1)
    assert columns == pytest.approx(10 * np.cos(np.pi / 6), abs=0.1)
    assert len(set(np.sign(rows))) == 2
