"""The ways to corrupt images, against what is reckoned by hand of made ones."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from reslab.analysis.corruption import KINDS, MOVES, PUBLISHED, SEVERITIES, corrupt

# Of these the benchmark's own levels do not grow in every regard.
NOT_EVER_FURTHER = {"glass_blur", "frost", "elastic_transform"}


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


def test_noises_spread_is_the_published_one():
    gray = plain(128)
    for severity, std in enumerate((0.04, 0.06, 0.08, 0.09, 0.10), start=1):
        found = floats(corrupt(gray, "gaussian_noise", severity))
        assert found.std() == pytest.approx(255 * std, rel=0.02)
    for severity, photons in enumerate((500, 250, 100, 75, 50), start=1):
        found = floats(corrupt(gray, "shot_noise", severity))
        assert found.std() == pytest.approx(255 * (128 / 255 / photons) ** 0.5, rel=0.02)
    for severity, share in enumerate((0.01, 0.02, 0.03, 0.05, 0.07), start=1):
        found = floats(corrupt(gray, "impulse_noise", severity))
        assert set(np.unique(found)) == {0, 128, 255}
        assert (found == 255).mean() == pytest.approx(share / 2, rel=0.1)
        assert (found == 0).mean() == pytest.approx(share / 2, rel=0.1)


def test_contrast_shrinks_each_channel_to_its_mean():
    images = made(2)
    x = floats(images)
    mean = x.mean((2, 3), keepdims=True)
    for severity, share in enumerate((0.75, 0.5, 0.4, 0.3, 0.15), start=1):
        found = floats(corrupt(images, "contrast", severity))
        assert np.abs(found - np.floor(share * x + (1 - share) * mean)).max() <= 1


def test_brightness_raises_the_value_and_keeps_hue_and_saturation():
    images = torch.tensor([[100, 50, 0], [0, 0, 0], [250, 125, 250]], dtype=torch.uint8)
    found = corrupt(images[:, :, None, None].repeat(1, 1, 8, 8), "brightness", 5)[:, :, 4, 4]
    # 0.3 of 255 is 76.5: 100 becomes 176.5, half of it 88.25, and 250 is cut at 255.
    assert found.tolist() == [[176, 88, 0], [76, 76, 76], [255, 127, 255]]


def test_pixelate_and_jpeg_are_pillow_s():
    box = Image.Resampling.BOX
    color, gray = made(1), made(1, 1)
    for images, pixels in ((color, color[0].permute(1, 2, 0)), (gray, gray[0, 0])):
        whole = Image.fromarray(pixels.numpy())
        blocks = np.asarray(whole.resize((20, 20), box).resize((32, 32), box))  # 0.65 of 32
        found = corrupt(images, "pixelate", 5)[0].permute(1, 2, 0).numpy()
        assert np.array_equal(found.squeeze(), blocks)
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=40)
        found = corrupt(images, "jpeg_compression", 5)[0].permute(1, 2, 0).numpy()
        assert np.array_equal(found.squeeze(), np.asarray(Image.open(file)))


def test_defocus_is_a_disk_and_zoom_pulls_out_of_the_middle():
    dot = plain(0, 1, 32, 1)
    dot[..., 16, 16] = 255
    blurred = floats(corrupt(dot, "defocus_blur", 5))[0, 0]  # 9 pixels, hardly smoothed
    assert (blurred > 20).sum() == 9
    assert blurred[15:18, 15:18].min() >= 26
    bars = plain(0, 1, 33, 1)
    bars[..., 16] = 255  # the middle column
    bars[..., 6] = 255
    zoomed = floats(corrupt(bars, "zoom_blur", 5))[0, 0]
    assert zoomed[16].argmax() == 16
    assert zoomed[16, 2:6].sum() > 3 * zoomed[16, 7:11].sum(), "it moves outward"


def test_glass_takes_pixels_from_above_and_left_at_most_a_step_a_time():
    number = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    found = floats(corrupt(number, "glass_blur", 1))[0, 0]  # which smooths nothing
    steps = np.arange(256).reshape(16, 16) - found
    assert set(np.unique(steps)) == {0, 1, 16, 17}
    assert not steps[:2].any()
    assert not steps[:, :2].any()


def test_motion_smears_to_the_left_and_keeps_what_is_plain():
    dot = plain(0, 1, 33, 30)
    dot[..., 16, 16] = 255
    found = floats(corrupt(dot, "motion_blur", 5))[:, 0]
    assert found[..., 17:].sum() == 0
    assert found.sum((1, 2)) == pytest.approx(255, abs=8)  # each pixel is rounded
    assert torch.equal(corrupt(plain(99), "motion_blur", 5), plain(99))


def test_weather_whitens():
    for kind, floor in {"snow": 20, "frost": 20}.items():
        found = floats(corrupt(plain(40), kind, 5))
        assert found.mean() > 40 + floor
    # Fog of 1.5 over an even gray: (x + 1.5 f) x / (x + 1.5), and f reaches from 0 to 1.
    found = floats(corrupt(plain(128), "fog", 5))
    x = 128 / 255
    assert found.min() == pytest.approx(255 * x * x / (x + 1.5), abs=1)
    assert found.max() == pytest.approx(255 * x, abs=1)


def test_elastic_bends_what_is_there_and_adds_nothing():
    images = made(5)
    for severity in SEVERITIES:
        found = corrupt(images, "elastic_transform", severity)
        for one, other in zip(images, found):
            for channel, bent in zip(one.int(), other.int()):
                assert channel.min() - 1 <= bent.min()
                assert bent.max() <= channel.max()


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
