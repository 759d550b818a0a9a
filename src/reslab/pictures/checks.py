"""What a picture file must not be: too large, damaged, or made to keep a decoder busy."""

import re
import struct
import zlib
from typing import BinaryIO, NamedTuple

from PIL import Image

from reslab.pictures.formats import FORMATS

MAX_PIXELS = 50_000_000
MAX_PIXELS_TEXT = f"{MAX_PIXELS // 1_000_000} million"
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 4_000_000
MAX_SIDE = 65_535  # pixels, the most that a JPEG can have
MAX_TILE = 4096 * 4096  # pixels of a TIFF's tile, if it is larger than two of its picture
MAX_SCANS = 100  # of a JPEG: each may cover all of it; cameras and editors make about ten
MAX_PARTS = 10_000  # of a PNG, beside one for every 4 KiB
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of a TIFF

PNG_BEGINS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEAD = struct.Struct(">16xIIBBBBB")
SLICE = 2**16  # bytes unpacked at a time
JPEG_SEGMENT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # what is no part of a scan's data
JPEG_END, JPEG_SCAN = 0xD9, 0xDA
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG by its color type
# Passes of an interlaced PNG: first column and row, steps to the next ones.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)


class BadPictureError(Exception):
    """Why a file is not decoded, for its row in the results."""


class Head(NamedTuple):
    """What a PNG's header says: `bits` a channel, and how the pixels are packed."""

    width: int
    height: int
    bits: int
    color_type: int
    compression: int
    filtering: int
    interlaced: int


class Png(NamedTuple):
    """A PNG that was looked through: its parts have names."""

    head: Head
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
    if width * height > max(MAX_TILE, 2 * picture.width * picture.height):
        raise BadPictureError(f"tiles of {width} x {height} pixels are too large")
    return picture


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise BadPictureError(f"a side of {max(width, height)} pixels is more than {MAX_SIDE:,}")
    if width * height > MAX_PIXELS:
        raise BadPictureError(f"{width} x {height} pixels are more than {MAX_PIXELS_TEXT}")


def read_png_head(content: bytes) -> Head:
    """Reads a PNG's header from its first bytes.

    Raises:
        BadPictureError: It has too many pixels, or ends too early.
    """
    if len(content) < PNG_HEAD.size:
        raise BadPictureError("damaged: the file ends too early")
    head = Head(*PNG_HEAD.unpack_from(content))
    _check_size(head.width, head.height)
    return head


def read_png(head: Head, content: bytes) -> Png:
    """Looks through a PNG as Pillow does not: at all checksums, and whether no row is missing.

    Raises:
        BadPictureError: It is damaged.
    """
    png = Png(head, _parts(content))
    expected = _unpacked_size(head)
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


def _unpacked_size(head: Head) -> int:
    """Bytes of all rows, each after the number of its filter; 0 for what no PNG has."""
    bits = head.bits * CHANNELS.get(head.color_type, 0)
    total = 0
    for left, top, right, down in ADAM7 if head.interlaced else [(0, 0, 1, 1)]:
        columns, rows = -((left - head.width) // right), -((top - head.height) // down)
        if bits and columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _count_unpacked(png: Png, most: int) -> int:
    """Bytes that the pixels unpack to, none of them kept, up to about so many."""
    unpacker, count = zlib.decompressobj(), 0
    for kind, part in png.parts:
        for start in range(0, len(part) if kind == b"IDAT" else 0, SLICE):
            packed = bytes(part[start : start + SLICE])
            while packed and count < most and not unpacker.eof:
                count += len(unpacker.decompress(packed, 2**20))
                packed = unpacker.unconsumed_tail
    return count


def check_scans(jpeg: bytes) -> None:
    """Refuses a JPEG that a decoder would go over more often than any picture needs.

    Raises:
        BadPictureError: It has too many scans.
    """
    scans, at = 0, 2
    while (found := JPEG_SEGMENT.search(jpeg, at)) and jpeg[found.start() + 1] != JPEG_END:
        at = found.end() + int.from_bytes(jpeg[found.end() : found.end() + 2])
        scans += jpeg[found.start() + 1] == JPEG_SCAN
        if scans > MAX_SCANS:
            raise BadPictureError(f"it has more than {MAX_SCANS} scans")
