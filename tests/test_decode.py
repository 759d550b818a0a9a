"""Picture files of every kind, good and bad; the expected pixels are worked out with numpy."""

import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from torchvision.transforms.v2 import functional as transforms

from reslab.inference.decode import BadPictureError, decode

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 5), dtype=np.uint8)


def decoded(path: Path, channels=3, size=None):
    """The picture at its own size if none is given (then it must be square)."""
    with Image.open(path) as picture:
        side = size or picture.size[0]
    return decode(path, channels, side)


def saved(folder: Path, array, name="a.png", mode=None, **options) -> Path:
    path = folder / name
    Image.fromarray(array, mode).save(path, **options)
    return path


def luma(rgb):
    """ITU-R 601-2, as Pillow documents `L`."""
    return (rgb.astype(int) @ [19595, 38470, 7471] + 0x8000) >> 16


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.webp", "a.tiff", "A.PNG"])
def test_lossless_formats_come_out_as_they_went_in(tmp_path, name):
    square = COLOR[:4]
    options = {"lossless": True} if name.endswith("webp") else {}
    image, notes = decoded(saved(tmp_path, square, name, **options))
    assert (image.permute(1, 2, 0).numpy() == square).all()
    assert notes == []


def test_jpeg_and_gif_are_read(tmp_path):
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    for name in ("a.jpg", "a.gif"):
        image, _ = decoded(saved(tmp_path, flat, name))
        assert abs(image.float().mean((1, 2)).numpy() - [200, 100, 50]).max() < 8


def test_a_grey_picture_for_a_color_network_and_the_reverse_are_converted_and_said(tmp_path):
    image, notes = decoded(saved(tmp_path, GREY))
    assert all((image[c].numpy() == GREY).all() for c in range(3))
    assert notes == ["grey to colour"]
    image, notes = decoded(saved(tmp_path, COLOR[:4]), channels=1)
    assert (image[0].numpy() == luma(COLOR[:4])).all()
    assert notes == ["colour to grey"]
    assert decoded(saved(tmp_path, GREY), channels=1)[1] == []


def rgb_png(width: int, height: int, bits: int, pixels: bytes, pieces: int = 1) -> bytes:
    """A PNG file; `pixels` are its rows, each after the number of its filter, compressed."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    size = -(-len(pixels) // pieces)
    parts = [pixels[at * size : (at + 1) * size] for at in range(pieces)]
    data = b"".join(chunk(b"IDAT", part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_sixteen_bits_of_color_become_eight_too(tmp_path):
    path = tmp_path / "a.png"
    rows = b"\0" + struct.pack(">6H", 0, 65535, 257 * 100, 257 * 7, 257, 300)
    path.write_bytes(rgb_png(2, 1, 16, zlib.compress(rows)))
    image, notes = decoded(path, size=2)
    assert image[:, 0, :].T.tolist() == [[0, 255, 100], [7, 1, 1]]
    assert notes == ["16 bits to 8"]


def test_sixteen_bits_become_eight(tmp_path):
    levels = np.array([[0, 65535], [257 * 100, 257 * 7]], np.uint16)
    for name in ("a.png", "a.tiff"):
        image, notes = decoded(saved(tmp_path, levels, name), channels=1)
        assert image[0].tolist() == [[0, 255], [100, 7]]
        assert notes == ["16 bits to 8"]


def test_floats_have_no_known_range_and_are_refused(tmp_path):
    with pytest.raises(BadPictureError, match="mode F"):
        decode(saved(tmp_path, GREY.astype(np.float32), "a.tiff"), 1, 5)


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
        ([10, 10, 10, 200, 200, 200, 0, 0, 0], "grey to colour" if channels == 3 else None),
        ([10, 20, 30, 200, 100, 50, 0, 0, 0], "colour to grey" if channels == 1 else None),
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
    assert notes == ["colour to grey"]
    assert (grey[0].numpy() == luma(color.permute(1, 2, 0).numpy())).all()


def test_cmyk_becomes_rgb(tmp_path):
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture.save(tmp_path / "a.jpg", quality=95)
    red, green, blue = decoded(tmp_path / "a.jpg")[0].float().mean((1, 2)).tolist()
    assert red < 20
    assert min(green, blue) > 235


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_counts(tmp_path, name):
    frames = [Image.new("RGB", (4, 4), color) for color in ((250, 0, 0), (0, 250, 0))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
    image, notes = decoded(tmp_path / name)
    assert abs(image[:, 0, 0].numpy().astype(int) - [250, 0, 0]).max() <= 4
    assert notes == ["first frame of an animation"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, COLOR[:4], exif=exif)
    image, notes = decoded(path)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert (image.permute(1, 2, 0).numpy() == expected).all()
    assert (expected == COLOR[:4]).all() == (orientation == 1)
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


def test_a_huge_picture_is_refused_at_its_header(tmp_path):
    """30,000 x 30,000 pixels, with no pixel data at all behind the header."""
    path = tmp_path / "huge.png"
    path.write_bytes(rgb_png(30_000, 30_000, 8, b""))
    with pytest.raises(BadPictureError, match="more than 50 million"):
        decode(path, 3, 32)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_what_is_a_little_too_large_is_refused_before_it_is_read(tmp_path, name):
    """64 million pixels, which Pillow itself would decode: all behind the header is missing."""
    whole, cut = tmp_path / "whole" / name, tmp_path / name
    whole.parent.mkdir()
    Image.new("L", (8_000, 8_000)).save(whole)
    content = whole.read_bytes()
    start = content.index(b"IDAT") + 4 if name == "a.png" else 2_000
    cut.write_bytes(content[:start])
    with pytest.raises(BadPictureError, match="8000 x 8000 pixels are more than 50 million"):
        decode(cut, 1, 32)


def test_of_a_picture_that_pillow_warns_of_only_the_row_says_it(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (10_000, 10_000)).save(path)
    code = f"""
from pathlib import Path
from reslab.inference.decode import BadPictureError, decode
try:
    decode(Path({str(path)!r}), 1, 32)
except BadPictureError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "10000 x 10000 pixels are more than 50 million\n"
    assert done.stderr == ""


def test_bad_files_say_what_is_wrong(tmp_path):
    good = saved(tmp_path, RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    cases = {
        "empty.png": (b"", "empty"),
        "text.png": (b"hello", "not a picture"),
        "vector.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        "cut.png": (good[: len(good) // 2], "damaged: the file ends too early"),
        "no end.png": (good[:-12], "damaged: the file ends too early"),
        "flipped.png": (bytes(flipped), "damaged: the checksum of its IDAT is wrong"),
    }
    for name, (content, text) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadPictureError, match=text):
            decode(tmp_path / name, 3, 32)
    with pytest.raises(BadPictureError, match="cannot be read"):
        decode(tmp_path / "missing.png", 3, 32)


def test_a_large_file_is_not_read_before_its_header(tmp_path):
    """399 MB, of which only the header is looked at."""
    path = tmp_path / "huge.bmp"
    Image.new("L", (8_000, 8_000)).save(path)
    os.truncate(path, 399_000_000)
    tracemalloc.start()
    with pytest.raises(BadPictureError, match="more than 50 million"):
        decode(path, 3, 32)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10_000_000


@pytest.mark.parametrize("pieces", [1, 3])
def test_rows_of_every_filter_are_read(tmp_path, pieces):
    """The five of the PNG specification, one a row, over a picture whose rows all differ."""
    square = RNG.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    rows = b"".join(bytes([at]) + filtered(square, at).tobytes() for at in range(5))
    path = tmp_path / "a.png"
    path.write_bytes(rgb_png(5, 5, 8, zlib.compress(rows), pieces))
    image, notes = decode(path, 3, 5)
    assert (image.permute(1, 2, 0).numpy() == square).all()
    assert notes == []


def filtered(picture, at):
    """Row `at` of the picture, filtered as the specification's number `at` says."""
    padded = np.zeros((6, 6, 3), int)
    padded[1:, 1:] = picture
    left, above, corner = padded[at + 1, :-1], padded[at, 1:], padded[at, :-1]
    guess = left + above - corner
    distances = np.stack([abs(guess - one) for one in (left, above, corner)])
    paeth = np.choose(distances.argmin(0), [left, above, corner])
    predicted = [0, left, above, (left + above) // 2, paeth][at]
    return (picture[at] - predicted).astype(np.uint8)


def test_pixels_that_cannot_be_unpacked_are_damage_whatever_the_checksums_say(tmp_path):
    rows = zlib.compress(RNG.bytes(4 * 13))
    for number, pixels in enumerate((rows[: len(rows) // 2], b"", b"no stream")):
        path = tmp_path / f"{number}.png"
        path.write_bytes(rgb_png(4, 4, 8, pixels))
        with pytest.raises(BadPictureError, match="damaged"):
            decode(path, 3, 4)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.bmp", "a.gif", "a.tiff"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_is_damage_in_every_format(tmp_path, name, share):
    path = saved(tmp_path, RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), name)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(BadPictureError, match=r"damaged|not a picture"):
        decode(path, 3, 32)


def test_a_part_of_a_png_with_a_strange_name_is_damage(tmp_path):
    good = saved(tmp_path, COLOR).read_bytes()
    (tmp_path / "evil.png").write_bytes(good.replace(b"IEND", b"\x1b[2J"))
    with pytest.raises(BadPictureError, match="damaged: a part of it has no name"):
        decode(tmp_path / "evil.png", 3, 32)


def test_a_file_without_end_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(tmp_path, COLOR).read_bytes())
    os.truncate(path, 500_000_000_000)  # zeros that take no room
    with pytest.raises(BadPictureError, match="more than 400 MB"):
        decode(path, 3, 32)


def test_what_follows_the_end_of_a_png_is_no_part_of_it(tmp_path):
    square = COLOR[:4]
    path = saved(tmp_path, square)
    path.write_bytes(path.read_bytes() + b"appended")
    assert np.array_equal(decode(path, 3, 4)[0].permute(1, 2, 0), square)


def test_only_the_six_formats_are_read(tmp_path):
    Image.fromarray(COLOR).save(tmp_path / "a.ppm")
    (tmp_path / "a.ppm").rename(tmp_path / "a.png")
    with pytest.raises(BadPictureError, match="not a picture"):
        decode(tmp_path / "a.png", 3, 32)
