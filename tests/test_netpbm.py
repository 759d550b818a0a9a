"""PBM, PGM and PPM, of bytes and of text; what Pillow reads of them too is the oracle."""

import numpy as np
import pytest
from PIL import Image

from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode

GREY = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)


def read(tmp_path, content: bytes, channels=1, size=3):
    (tmp_path / "a.pnm").write_bytes(content)
    return decode(tmp_path / "a.pnm", channels, size)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_what_pillow_writes_is_read(tmp_path, mode):
    """Nine pixels a row of bits: they end within a byte."""
    picture = Image.fromarray(np.dstack([GREY, GREY.T, 255 - GREY])).convert(mode)
    picture.save(tmp_path / "a.pnm")
    channels = 3 if mode == "RGB" else 1
    image, notes = decode(tmp_path / "a.pnm", channels, 9)
    assert (
        image.permute(1, 2, 0).numpy() == np.array(picture.convert("RGB"))[..., :channels]
    ).all()
    assert notes == []


@pytest.mark.parametrize(
    "content",
    [
        b"P1 2 2\n0110",
        b"P1\n# a comment\n2 # another\n2\n0 1\n1 # third 1 1\n 0\n",
        b"P2 2 2 1 1 0 0 1",
        b"P2\n2\t2\r\n15\n15 0\n#no\n0 15 99",
        b"P3 2 2 255 255 255 255 0 0 0 0 0 0 255 255 255",
        b"P4 2 2\n\x40\x80",
        b"P5 2 2 1000 \x03\xe8\0\0\0\0\x03\xe8",
        b"P5 2 2 7\n\7\0\0\7P5 and a second picture",
        b"P6#\n2 2 255\n\xff\xff\xff\0\0\0\0\0\0\xff\xff\xff",
    ],
)
def test_bytes_and_text_with_comments_and_any_largest_level(tmp_path, content):
    """White and black, black and white."""
    assert read(tmp_path, content, size=2)[0].tolist() == [[[255, 0], [0, 255]]]


@pytest.mark.parametrize("most", [1, 2, 100, 254, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("kind", [2, 3, 5, 6])
def test_levels_are_spread_over_eight_bits(tmp_path, most, kind):
    """The nearest level, worked out in floats; more than eight bits are said."""
    channels = 3 if kind in (3, 6) else 1
    levels = np.random.default_rng(most).integers(0, most + 1, (3, 3, channels))
    raster = levels.astype("u1" if most < 256 else ">u2").tobytes()
    if kind < 4:
        raster = " ".join(map(str, levels.flatten())).encode()
    image, notes = read(tmp_path, b"P%d 3 3 %d\n" % (kind, most) + raster, channels)
    assert abs(image.permute(1, 2, 0).numpy() - levels * (255 / most)).max() <= 0.5
    assert notes == ([f"{most.bit_length()} bits to 8"] if most > 255 else [])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"P5 3 3 255\n12345678", "ends too early"),
        (b"P2 3 3 255 1 2 3", "ends too early"),
        (b"P2 3 3 255 ", "ends too early"),
        (b"P1 3 3 0101", "ends too early"),
        (b"P2 2 2 9 1 2 3 x", "no numbers"),
        (b"P2 2 2 9 1 2 3 -4", "no numbers"),
        (b"P2 2 2 9 1 2 3 10", "a level is more than 9"),
        (b"P2 2 2 9 1 2 3 99999999999999999999999", "a level is more than 9"),
        (b"P1 2 2 0120", "a level is more than 1"),
        (b"P5 2 2 9 \0\0\0\x0a", "a level is more than 9"),
        (b"P5 2 2 70000 \0", "no such levels"),
        (b"P5 0 2 9 \0", "no pixels"),
        (b"P6 8000 8000 255 ", "8000 x 8000 pixels are more than 50 million"),
        (b"P3 4000 4000 255 0 0 0", "more than 4 million pixels as text"),
        (b"P5 2 2 " + b"#" * 5000, "header is none"),
        (b"Pf 1 1 -1.0\n\0\0\0\0", "not a picture"),
        (b"P7\nWIDTH 1\nHEIGHT 1\n", "not a picture"),
    ],
)
def test_what_is_damaged_or_too_large_is_refused(tmp_path, content, text):
    with pytest.raises(BadPictureError, match=text):
        read(tmp_path, content)
