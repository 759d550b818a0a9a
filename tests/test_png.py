"""PNG files, their parts and rows put together by hand."""

import struct
import zlib

import numpy as np
import pytest

from pictures import CHANNELS, part, png, saved
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)


def test_pixels_that_cannot_be_unpacked_are_damage_whatever_the_checksums_say(tmp_path):
    rows = zlib.compress(RNG.bytes(4 * 13))
    for number, pixels in enumerate((rows[: len(rows) // 2], b"", b"no stream")):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png(4, 4, 8, pixels))
        with pytest.raises(BadPictureError, match="damaged"):
            decode(path, 3, 4)


def test_a_part_of_a_png_with_a_strange_name_is_damage(tmp_path):
    good = saved(tmp_path, COLOR).read_bytes()
    (tmp_path / "evil.png").write_bytes(good.replace(b"IEND", b"\x1b[2J"))
    with pytest.raises(BadPictureError, match="damaged: a part of it has no name"):
        decode(tmp_path / "evil.png", 3, 32)


def test_what_follows_the_end_of_a_png_is_no_part_of_it(tmp_path):
    square = COLOR[:4]
    path = saved(tmp_path, square)
    path.write_bytes(path.read_bytes() + b"appended")
    assert np.array_equal(decode(path, 3, 4)[0].permute(1, 2, 0), square)


@pytest.mark.parametrize("pieces", [1, 3])
def test_rows_of_every_filter_are_read(tmp_path, pieces):
    """The five of the PNG specification, one a row, over a picture whose rows all differ."""
    square = RNG.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    rows = b"".join(bytes([at]) + filtered(square, at).tobytes() for at in range(5))
    path = tmp_path / "a.png"
    path.write_bytes(png(5, 5, 8, zlib.compress(rows), pieces=pieces))
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


@pytest.mark.parametrize(("bits", "color_type"), [(4, 0), (16, 0), (16, 2)])
def test_one_transparent_color_is_read_at_eight_bits_alone(tmp_path, bits, color_type):
    key = struct.pack(">H", 1) * CHANNELS[color_type]
    rows = bytes(4 * (1 + 4 * bits * CHANNELS[color_type] // 8))
    content = png(4, 4, bits, zlib.compress(rows), color_type=color_type, extra=part(b"tRNS", key))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadPictureError, match=f"at {bits} bits a channel is not read"):
        decode(tmp_path / "a.png", 3, 4)
