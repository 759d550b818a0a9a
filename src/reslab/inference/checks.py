"""What a picture file must not be: too large, damaged, or made to keep a decoder busy."""

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 50_000_000
MAX_PIXELS_TEXT = f"{MAX_PIXELS // 1_000_000} million"
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 4_000_000
MAX_SCANS = 100  # of a JPEG: each may cover all of it; cameras and editors make about ten
MAX_PARTS = 10_000  # of a PNG, beside one for every 4 KiB
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of a TIFF

PNG_BEGINS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEAD = struct.Struct(">16xIIBBBBB")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG by its color type
# Passes of an interlaced PNG: first column and row, steps to the next ones.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


class BadPictureError(Exception):
    """Why a file is not decoded, for its row in the results."""


@dataclass(frozen=True)
class Png:
    """A PNG that was looked through: `bits` a channel, and its parts with their names."""

    width: int
    height: int
    bits: int
    color_type: int
    interlaced: bool
    parts: list[tuple[bytes, memoryview]]

    def has(self, kind: bytes) -> bool:
        """Whether there is a part of that name."""
        return any(name == kind for name, _ in self.parts)


def open_header(file: BinaryIO) -> Image.Image:
    """Reads a picture's header alone.

    Raises:
        BadPictureError: It has too many pixels, or tiles that are larger than pictures should be.
    """
    picture = Image.open(file, formats=FORMATS)
    _check_size(picture.width, picture.height)
    tags = getattr(picture, "tag_v2", {})
    width, height = tags.get(TILE_WIDTH, 0), tags.get(TILE_HEIGHT, 0)
    if width * height > LARGE_PIXELS:
        raise BadPictureError(
            f"tiles of {width} x {height} pixels are more than {LARGE_PIXELS // 1_000_000} million"
        )
    return picture


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadPictureError(f"{width} x {height} pixels are more than {MAX_PIXELS_TEXT}")


def check_png_head(content: bytes) -> tuple[int, ...]:
    """Width, height, bits, color type, and how the rest is packed, of a PNG's first bytes.

    Raises:
        BadPictureError: It has too many pixels, or ends too early.
    """
    if len(content) < PNG_HEAD.size:
        raise BadPictureError("damaged: the file ends too early")
    head = PNG_HEAD.unpack_from(content)
    _check_size(*head[:2])
    return head


def read_png(content: bytes) -> Png:
    """Looks through a PNG as Pillow does not: at all checksums, and whether no row is missing.

    Raises:
        BadPictureError: It is damaged.
    """
    width, height, bits, color_type, *_, interlaced = check_png_head(content)
    png = Png(width, height, bits, color_type, bool(interlaced), _parts(content))
    expected = _unpacked_size(png)
    try:
        if _count_unpacked(png, expected) < expected:
            raise BadPictureError("damaged: its rows end too early")
    except zlib.error as error:
        raise BadPictureError(f"damaged: {error}") from error
    return png


def _parts(content: bytes) -> list[tuple[bytes, memoryview]]:
    view, kind, start = memoryview(content), b"", 8
    parts: list[tuple[bytes, memoryview]] = []
    most = MAX_PARTS + len(content) // 4096
    while kind != b"IEND":
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        end = start + 8 + length
        if end + 4 > len(content):
            raise BadPictureError("damaged: the file ends too early")
        if not kind.isalpha():
            raise BadPictureError("damaged: a part of it has no name")
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise BadPictureError(f"damaged: the checksum of its {kind.decode()} is wrong")
        parts.append((kind, view[start + 8 : end]))
        if len(parts) > most:
            raise BadPictureError(f"it has more than {most:,} parts")
        start = end + 4
    return parts


def _unpacked_size(png: Png) -> int:
    """Bytes of all rows, each after the number of its filter; 0 for what no PNG has."""
    bits = png.bits * CHANNELS.get(png.color_type, 0)
    total = 0
    for left, top, right, down in ADAM7 if png.interlaced else [(0, 0, 1, 1)]:
        columns, rows = -((left - png.width) // right), -((top - png.height) // down)
        if bits and columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _count_unpacked(png: Png, most: int) -> int:
    """Bytes that the pixels unpack to, none of them kept, up to about so many."""
    unpacker, count = zlib.decompressobj(), 0
    for kind, part in png.parts:
        packed = bytes(part) if kind == b"IDAT" else b""
        while packed and count < most:
            count += len(unpacker.decompress(packed, 2**20))
            packed = unpacker.unconsumed_tail
    return count


def check_scans(jpeg: bytes) -> None:
    """Refuses a JPEG that a decoder would go over more often than any picture needs.

    Raises:
        BadPictureError: It has too many scans.
    """
    if jpeg.count(b"\xff\xda") > MAX_SCANS:
        raise BadPictureError(f"it has more than {MAX_SCANS} scans")
