"""Files that are no pictures, damaged, or made to do harm: each is refused, and says why."""

import os
import subprocess
import sys
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from cpu_time import cpu_seconds
from pictures import AVIF, CHANNELS, part, png, saved, tiff
from reslab.pictures import decode as decoding
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode
from reslab.pictures.formats import HAS_AVIF

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)


def test_a_huge_picture_is_refused_at_its_header(tmp_path):
    """30,000 x 30,000 pixels, with no pixel data at all behind the header."""
    path = tmp_path / "huge.png"
    path.write_bytes(png(30_000, 30_000, 8, b""))
    with pytest.raises(BadPictureError, match="more than 50 million"):
        decode(path, 3, 32)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.pgm"])
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


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow does not read AVIF")
def test_an_avif_is_refused_before_its_pixels_are_decoded(tmp_path, monkeypatch):
    path = saved(tmp_path, COLOR, "a.avif")
    monkeypatch.setattr("reslab.pictures.checks.MAX_PIXELS", 23)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(BadPictureError, match="4 x 6 pixels are more than 50 million"):
        decode(path, 3, 32)


@pytest.mark.long
def test_of_a_picture_that_pillow_warns_of_only_the_row_says_it(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (10_000, 10_000)).save(path)
    code = f"""
from pathlib import Path
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode
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
        "vector.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is not read, only PNG"),
        "phone.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC is not read, only PNG"),
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


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.bmp", "a.gif", "a.tiff", "a.ppm", AVIF])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_half_a_file_is_damage_in_every_format(tmp_path, name, share):
    path = saved(tmp_path, RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), name)
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(BadPictureError, match=r"damaged|not a picture"):
        decode(path, 3, 32)


def test_a_file_without_end_is_not_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(tmp_path, COLOR).read_bytes())
    os.truncate(path, 500_000_000_000)  # zeros that take no room
    with pytest.raises(BadPictureError, match="more than 400 MB"):
        decode(path, 3, 32)


@pytest.mark.parametrize("form", ["PCX", "SGI", "TGA"])
def test_no_other_formats_of_pillow_are_read(tmp_path, form):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", form)
    with pytest.raises(BadPictureError, match="not a picture"):
        decode(tmp_path / "a.png", 3, 32)


def refuses(tmp_path, content: bytes, text: str, name="a.png", channels=3) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadPictureError, match=text):
        decode(path, channels, 4)


@pytest.mark.parametrize("extra", [b"", part(b"tEXt", b"a\0b")])
@pytest.mark.parametrize(("bits", "color_type"), [(8, 2), (8, 0), (1, 0), (16, 2), (8, 3), (8, 6)])
def test_a_stream_of_too_few_rows_is_damage_though_it_ends_well(tmp_path, extra, bits, color_type):
    """Pillow gives black for what is not there."""
    if color_type == 3:
        extra += part(b"PLTE", bytes(range(6)))
    row = bytes(1 + -(-4 * bits * CHANNELS[color_type] // 8))
    options = {"color_type": color_type, "extra": extra}
    whole, short = (zlib.compress(row * rows) for rows in (4, 3))
    refuses(tmp_path, png(4, 4, bits, short, **options), "rows end too early")
    (tmp_path / "whole.png").write_bytes(png(4, 4, bits, whole, **options))
    assert decode(tmp_path / "whole.png", 3, 4)[0].shape == (3, 4, 4)


def test_an_interlaced_picture_has_seven_passes(tmp_path):
    """Rows and columns of Adam7's passes over 5 x 5 pixels."""
    passes = [(1, 1), (1, 1), (1, 2), (2, 1), (1, 3), (3, 2), (2, 5)]
    rows = [b"\0" + b"\xc8" * columns for number, columns in passes for _ in range(number)]
    options = {"color_type": 0, "interlaced": 1}
    whole = tmp_path / "whole.png"
    whole.write_bytes(png(5, 5, 8, zlib.compress(b"".join(rows)), **options))
    assert (decode(whole, 1, 5)[0] == 200).all()
    refuses(tmp_path, png(5, 5, 8, zlib.compress(b"".join(rows[:-1])), **options), "too early")


def test_a_png_that_does_not_begin_with_its_header_is_refused(tmp_path):
    good = png(4, 4, 8, zlib.compress(bytes(4 * 13)))
    refuses(tmp_path, good[:8] + part(b"tEXt", b"a\0b") + good[8:], "does not begin|not a picture")
    refuses(tmp_path, good[:20], "ends too early")
    refuses(tmp_path, png(0, 4, 8, zlib.compress(b"")), "damaged|not a picture")


def test_a_png_of_a_hundred_thousand_parts_is_refused_at_once(tmp_path):
    content = png(4, 4, 8, zlib.compress(bytes(52)), extra=part(b"teXt") * 100_000)
    assert cpu_seconds(lambda: refuses(tmp_path, content, "more than 10,292 parts")) < 1


def test_a_picture_one_pixel_wide_is_not_made_as_wide_as_it_is_long(tmp_path):
    content = png(1, 5_000_000, 8, zlib.compress(bytes(10_000_000)), color_type=0)
    refuses(tmp_path, content, "a side of 5000000 pixels", channels=1)


def test_what_follows_the_pixels_is_not_unpacked(tmp_path):
    """5 MB in parts after the end of the stream, each of which zlib would copy with all before."""
    after = part(b"IDAT", bytes(2_000)) * 2_500
    path = tmp_path / "a.png"
    content = png(4, 4, 8, zlib.compress(bytes(52)))
    path.write_bytes(content[:-12] + after + content[-12:])
    assert cpu_seconds(lambda: decode(path, 3, 4)) < 1


def test_what_follows_a_jpeg_is_no_scan_of_it(tmp_path):
    path = saved(tmp_path, RNG.integers(0, 256, (64, 64), np.uint8), "a.jpg")
    path.write_bytes(path.read_bytes() + b"\xff\xda\0\2" * 1000)
    decode(path, 1, 4)


def test_a_jpeg_of_a_thousand_scans_is_refused(tmp_path):
    path = saved(tmp_path, RNG.integers(0, 256, (64, 64), np.uint8), "a.jpg", progressive=True)
    good = path.read_bytes()
    decode(path, 1, 4)
    last = good.rindex(b"\xff\xda")
    refuses(tmp_path, good[:-2] + good[last:-2] * 1000 + good[-2:], "more than 100 scans", "a.jpg")


def test_a_tile_far_larger_than_its_picture_is_refused(tmp_path):
    """One pixel, in a tile of 67 million that unpacks from 65 kB."""
    data = zlib.compress(bytes(8192 * 8192))
    tags = {256: 1, 257: 1, 258: 8, 259: 8, 262: 1, 277: 1, 322: 8192, 323: 8192}
    content = tiff(tags | {324: None, 325: len(data)}, data)
    refuses(tmp_path, content, "tiles of 8192 x 8192 pixels are too large", "a.tiff", channels=1)


def test_a_picture_of_one_large_tile_is_read(tmp_path):
    data = zlib.compress(bytes([200]) * 2992 * 2992)
    tags = {256: 2992, 257: 2992, 258: 8, 259: 8, 262: 1, 277: 1, 322: 2992, 323: 2992}
    path = tmp_path / "a.tiff"
    path.write_bytes(tiff(tags | {324: None, 325: len(data)}, data))
    assert (decode(path, 1, 4)[0] == 200).all()


@pytest.mark.slow
@pytest.mark.parametrize(("side", "mode"), [(2_100, "L"), (2_100, "1"), (64, "L")])
def test_of_large_pictures_one_at_a_time_is_in_memory(tmp_path, monkeypatch, side, mode):
    """Large as files, or only once they are unpacked."""
    path = tmp_path / ("a.bmp" if mode == "L" else "a.png")
    Image.new(mode, (side, side)).save(path)
    assert (path.stat().st_size > 4_000_000) == (side > 64 and mode == "L")
    both, alone = threading.Barrier(2), []
    resized = decoding.resized

    def meet(*arguments):
        try:
            both.wait(30 if side == 64 else 1)
        except threading.BrokenBarrierError:
            alone.append(1)
        return resized(*arguments)

    monkeypatch.setattr(decoding, "resized", meet)
    threads = [threading.Thread(target=decode, args=(path, 1, 8)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(alone) == (0 if side == 64 else 2)
