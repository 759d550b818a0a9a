"""Picture files of every kind, good and bad; the expected pixels are worked out with numpy."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.v2 import functional as transforms

from pictures import AVIF, png, saved, tiff
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 5), dtype=np.uint8)


def decoded(path: Path, channels=3, size=None):
    """The picture at its own size if none is given (then it must be square)."""
    with Image.open(path) as picture:
        side = size or picture.size[0]
    return decode(path, channels, side)


def luma(rgb):
    """ITU-R 601-2, as Pillow documents `L`."""
    return (rgb.astype(int) @ [19595, 38470, 7471] + 0x8000) >> 16


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tiff", "A.PNG", "a.ppm"])
def test_lossless_formats_come_out_as_they_went_in(tmp_path, name):
    square = COLOR[:4]
    options = {"lossless": True} if name.endswith("webp") else {}
    image, notes = decoded(saved(tmp_path, square, name, **options))
    assert (image.permute(1, 2, 0).numpy() == square).all()
    assert notes == []


@pytest.mark.parametrize("name", ["a.jpg", "a.gif", AVIF])
def test_formats_with_losses_are_read(tmp_path, name):
    colors = np.array([[[200, 100, 50], [10, 220, 30]], [[40, 20, 240], [250, 250, 250]]], np.uint8)
    blocks = np.kron(colors, np.ones((16, 16, 1), np.uint8))
    image, _ = decoded(saved(tmp_path, blocks, name))
    assert abs(image.permute(1, 2, 0).numpy().astype(int) - blocks).mean() < 8


def test_a_grey_picture_for_a_color_network_and_the_reverse_are_converted_and_said(tmp_path):
    image, notes = decoded(saved(tmp_path, GREY))
    assert all((image[c].numpy() == GREY).all() for c in range(3))
    assert notes == ["gray to color"]
    image, notes = decoded(saved(tmp_path, COLOR[:4]), channels=1)
    assert (image[0].numpy() == luma(COLOR[:4])).all()
    assert notes == ["color to gray"]
    assert decoded(saved(tmp_path, GREY), channels=1)[1] == []


def test_sixteen_bits_of_color_become_eight_too(tmp_path):
    path = tmp_path / "a.png"
    rows = b"\0" + struct.pack(">6H", 0, 65535, 257 * 100, 257 * 7, 257, 300)
    path.write_bytes(png(2, 1, 16, zlib.compress(rows)))
    image, notes = decoded(path, size=2)
    assert image[:, 0, :].T.tolist() == [[0, 255, 100], [7, 1, 1]]
    assert notes == ["16 bits to 8"]


def test_sixteen_bits_become_eight(tmp_path):
    levels = np.array([[0, 65535], [257 * 100, 257 * 7]], np.uint16)
    for name in ("a.png", "a.tiff"):
        image, notes = decoded(saved(tmp_path, levels, name), channels=1)
        assert image[0].tolist() == [[0, 255], [100, 7]]
        assert notes == ["16 bits to 8"]


@pytest.mark.parametrize(
    ("bits", "photometric", "data", "expected"),
    [
        (16, 1, struct.pack("<4H", 0, 65535, 25700, 1799), [0, 255, 100, 7]),
        (16, 0, struct.pack("<4H", 0, 65535, 25700, 1799), [255, 0, 155, 248]),
        (12, 1, bytes([0xFF, 0xF8, 0x00, 0x00, 0x00, 0x00]), [255, 128, 0, 0]),
    ],
)
def test_grey_levels_of_a_tiff(tmp_path, bits, photometric, data, expected):
    """Two by two pixels; 12 bits are packed, a row to a byte's end."""
    tags = {256: 2, 257: 2, 258: bits, 259: 1, 262: photometric, 277: 1, 278: 2}
    path = tmp_path / "a.tiff"
    path.write_bytes(tiff(tags | {273: None, 279: len(data)}, data))
    image, notes = decode(path, 1, 2)
    assert image.flatten().tolist() == expected
    assert notes == [f"{bits} bits to 8"]


def test_sixteen_bits_of_grey_with_opacity_are_grey(tmp_path):
    rows = b"\0" + struct.pack(">4H", 257 * 100, 65535, 257 * 7, 0)
    path = tmp_path / "a.png"
    path.write_bytes(png(2, 1, 16, zlib.compress(rows), color_type=4))
    image, notes = decode(path, 1, 2)
    assert image[0, 0].tolist() == [100, 255]
    assert notes == ["transparency laid over white", "16 bits to 8"]


def test_several_pictures_in_one_jpeg_are_no_animation(tmp_path):
    pictures = [Image.fromarray(COLOR[:4]), Image.fromarray(COLOR[:4])]
    pictures[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=pictures[1:])
    assert decode(tmp_path / "a.jpg", 3, 4)[1] == []


def test_floats_have_no_known_range_and_are_refused(tmp_path):
    with pytest.raises(BadPictureError, match="mode F"):
        decode(saved(tmp_path, GREY.astype(np.float32), "a.tiff"), 1, 5)


@pytest.mark.parametrize("name", ["a.png", "a.webp", AVIF])
def test_what_is_clear_is_white(tmp_path, name):
    rgba = np.zeros((16, 16, 4), np.uint8)
    rgba[:8, :, 3] = 255  # black above
    image, notes = decoded(saved(tmp_path, rgba, name))
    assert image[:, :6].max() < 5
    assert image[:, 10:].min() > 250
    assert notes == ["transparency laid over white"]


def test_transparency_is_laid_over_white(tmp_path):
    rgba = np.dstack([COLOR[:4], np.full((4, 4), 51, np.uint8)])  # one fifth
    image, notes = decoded(saved(tmp_path, rgba))
    expected = COLOR[:4] * 0.2 + 255 * 0.8
    assert abs(image.permute(1, 2, 0).numpy() - expected).max() <= 1
    assert notes == ["transparency laid over white"]
    image, _ = decoded(saved(tmp_path, np.dstack([GREY, np.zeros_like(GREY)])), channels=1)
    assert (image == 255).all()


def test_a_palette_gives_its_colors_and_its_transparent_one_is_white(tmp_path):
    picture = Image.new("P", (2, 2))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putdata([0, 1, 1, 0])
    picture.save(tmp_path / "a.png")
    assert decoded(tmp_path / "a.png")[0][:, 0].tolist() == [[10, 200], [20, 100], [30, 50]]
    picture.save(tmp_path / "b.png", transparency=1)
    assert decoded(tmp_path / "b.png")[0][:, 0].tolist() == [[10, 255], [20, 255], [30, 255]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [{}, {"transparency": 2}])
def test_a_palette_of_greys_is_grey_and_one_of_colors_is_not(tmp_path, channels, options):
    clear = ["transparency laid over white"] if options else []
    for colors, note in (
        ([10, 10, 10, 200, 200, 200, 0, 0, 0], "gray to color" if channels == 3 else None),
        ([10, 20, 30, 200, 100, 50, 0, 0, 0], "color to gray" if channels == 1 else None),
    ):
        picture = Image.new("P", (2, 2))
        picture.putpalette(colors)
        picture.putdata([0, 1, 1, 0])
        picture.save(tmp_path / "a.png", **options)
        image, notes = decoded(tmp_path / "a.png", channels)
        assert notes == clear + ([note] if note else [])
        expected = np.array(colors, np.uint8).reshape(3, 3)[[[0, 1], [1, 0]]]
        if channels == 1:
            expected = luma(expected)[..., None]
        assert (image.permute(1, 2, 0).numpy() == expected).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_color_spaces_become_grey_by_way_of_rgb(tmp_path, mode):
    flat = np.full((4, 4, 3), (200, 100, 50), np.uint8)
    picture = Image.fromarray(flat).convert(mode)
    picture.save(tmp_path / "a.tiff")
    color, _ = decoded(tmp_path / "a.tiff")
    assert abs(color[:, 0, 0].numpy().astype(int) - flat[0, 0]).max() <= 3
    grey, notes = decoded(tmp_path / "a.tiff", channels=1)
    assert notes == ["color to gray"]
    assert (grey[0].numpy() == luma(color.permute(1, 2, 0).numpy())).all()


def test_cmyk_becomes_rgb(tmp_path):
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture.save(tmp_path / "a.jpg", quality=95)
    red, green, blue = decoded(tmp_path / "a.jpg")[0].float().mean((1, 2)).tolist()
    assert red < 20
    assert min(green, blue) > 235


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", AVIF])
def test_of_an_animation_the_first_frame_counts(tmp_path, name):
    frames = [Image.new("RGB", (4, 4), color) for color in ((250, 0, 0), (0, 250, 0))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
    image, notes = decoded(tmp_path / name)
    assert abs(image[:, 0, 0].numpy().astype(int) - [250, 0, 0]).max() <= 4
    assert notes == ["first frame of an animation"]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff", "a.jpg", AVIF])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    blocks = np.kron(COLOR[:2, :2], np.ones((8, 8, 1), np.uint8))
    path = saved(tmp_path, blocks, name, exif=exif, **options)
    image, notes = decoded(path)
    upright = {
        1: blocks,
        2: blocks[:, ::-1],
        3: blocks[::-1, ::-1],
        4: blocks[::-1],
        5: blocks.swapaxes(0, 1),
        6: blocks[::-1].swapaxes(0, 1),
        7: blocks[::-1, ::-1].swapaxes(0, 1),
        8: blocks[:, ::-1].swapaxes(0, 1),
    }[orientation]
    off = abs(image.permute(1, 2, 0).numpy().astype(int) - upright)
    assert off.mean() <= (12 if name in ("a.jpg", "a.avif") else 0)
    assert notes == ["turned as EXIF says"] * (orientation > 1)


def test_of_exif_data_the_orientation_alone_is_read(tmp_path):
    """What else is in them may be nonsense, which Pillow cannot write again."""
    turned = struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)
    resolution = struct.pack("<HHI4s", 0x011A, 2, 4, b"no\0\0")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + turned + resolution + bytes(4)
    image, _ = decoded(saved(tmp_path, COLOR[:4], exif=exif))
    assert (image.permute(1, 2, 0).numpy() == COLOR[:4][::-1, ::-1]).all()


def test_the_whole_picture_is_resized_as_the_training_images_are(tmp_path):
    wide = RNG.integers(0, 256, (20, 50, 3), dtype=np.uint8)
    image, _ = decoded(saved(tmp_path, wide), size=16)
    import torch

    expected = transforms.resize(torch.from_numpy(wide).permute(2, 0, 1), [16, 16], antialias=True)
    assert torch.equal(image, expected)
