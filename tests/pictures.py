"""Picture files, by Pillow or byte for byte."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from reslab.pictures.formats import HAS_AVIF

AVIF = pytest.param(
    "a.avif", marks=pytest.mark.skipif(not HAS_AVIF, reason="this Pillow does not read AVIF")
)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG by its color type, as it is specified


def saved(folder: Path, array, name="a.png", mode=None, **options) -> Path:
    """The file that Pillow makes of an array."""
    path = folder / name
    Image.fromarray(array, mode).save(path, **options)
    return path


def part(kind: bytes, data: bytes = b"") -> bytes:
    """A part of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, packed, *, color_type=2, pieces=1, interlaced=0, extra=b"") -> bytes:
    """A PNG; `packed` are its rows, each after the number of its filter, compressed."""
    header = part(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, interlaced)
    )
    size = -(-len(packed) // pieces)
    cut = [packed[at * size : (at + 1) * size] for at in range(pieces)]
    data = b"".join(part(b"IDAT", one) for one in cut)
    return b"\x89PNG\r\n\x1a\n" + header + extra + data + part(b"IEND")


def tiff(tags: dict[int, int], data: bytes) -> bytes:
    """A little-endian TIFF of one strip or tile, whose offset takes the place of None."""
    start = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, start if value is None else value)
        for tag, value in sorted(tags.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + data
