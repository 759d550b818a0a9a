"""PNG files looked through before Pillow sees them: damage is found, metadata left out."""

import struct
import zlib
from typing import NamedTuple

from reslab.pictures.checks import BadPictureError, check_size

PNG_BEGINS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
PNG_HEAD = struct.Struct(">16xIIBBBBB")
MAX_PARTS = 10_000  # beside one for every 4 KiB
MAX_METADATA = 2**20  # bytes, unpacked, of a part that may say how the picture is turned
SLICE = 2**16  # bytes unpacked at a time
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the color type
# Passes of an interlaced PNG: first column and row, steps to the next ones.
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
# Texts in which Pillow looks for EXIF's orientation, beside the part for EXIF data.
TURNING_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")


class Head(NamedTuple):
    """What a PNG's header says: `bits` a channel, and how the pixels are packed."""

    width: int
    height: int
    bits: int
    color_type: int
    compression: int
    filtering: int
    interlaced: int


class Part(NamedTuple):
    """A part of a PNG: `whole` has its length, name, data and checksum."""

    kind: bytes
    whole: memoryview

    @property
    def data(self) -> memoryview:
        """What is in it."""
        return self.whole[8:-4]

    @property
    def is_intact(self) -> bool:
        """Whether its checksum is right."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:])

    @property
    def alters_pixels(self) -> bool:
        """Whether a picture looks otherwise without it; lower case says that it may be left out."""
        return self.kind[:1].isupper() or self.kind == b"tRNS"


class Png(NamedTuple):
    """A PNG that was looked through, without what does not alter its picture."""

    head: Head
    parts: list[Part]
    is_animated: bool

    def has(self, kind: bytes) -> bool:
        """Whether there is a part of that name."""
        return any(part.kind == kind for part in self.parts)

    @property
    def content(self) -> bytes:
        """The file that these parts make."""
        return b"".join([PNG_BEGINS[:8], *(part.whole for part in self.parts)])


def read_png_head(content: bytes) -> Head:
    """Reads a PNG's header from its first bytes.

    Raises:
        BadPictureError: It has too many pixels, or ends too early.
    """
    if len(content) < PNG_HEAD.size:
        raise BadPictureError("damaged: the file ends too early")
    head = Head(*PNG_HEAD.unpack_from(content))
    check_size(head.width, head.height)
    return head


def read_png(head: Head, content: bytes) -> Png:
    """Looks through a PNG as Pillow does not: at all checksums, and whether no row is missing.

    Metadata are left out, damaged or not, but for what says how the picture is turned. Of an
    animation that leaves what is shown where such are not supported: its first frame.

    Raises:
        BadPictureError: It is damaged.
    """
    parts: list[Part] = []
    is_animated, turning = False, set()
    for part in _parts(content):
        if part.alters_pixels:
            if not part.is_intact:
                name = part.kind.decode()
                raise BadPictureError(f"damaged: the checksum of its {name} is wrong")
            parts.append(part)
        elif part.kind == b"acTL":
            is_animated |= int.from_bytes(part.data[:4]) > 1
        elif part.kind not in turning and _may_turn(part) and part.is_intact:
            turning.add(part.kind)
            parts.append(part)
    png = Png(head, parts, is_animated)
    expected = _unpacked_size(head)
    try:
        if _count_unpacked(png, expected) < expected:
            raise BadPictureError("damaged: its rows end too early")
    except zlib.error as error:
        raise BadPictureError(f"damaged: {error}") from error
    return png


def _parts(content: bytes) -> list[Part]:
    view, kind, start = memoryview(content), b"", 8
    parts: list[Part] = []
    most = MAX_PARTS + len(content) // 4096
    while kind != b"IEND":
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        end = start + 8 + length + 4
        if end > len(content):
            raise BadPictureError("damaged: the file ends too early")
        if not kind.isalpha():
            raise BadPictureError("damaged: a part of it has no name")
        parts.append(Part(kind, view[start:end]))
        if len(parts) > most:
            raise BadPictureError(f"it has more than {most:,} parts")
        start = end
    return parts


def _may_turn(part: Part) -> bool:
    """Whether Pillow can look there for how the picture is turned, and that costs it little."""
    if len(part.data) > MAX_METADATA:
        return False
    if part.kind == b"eXIf":
        return True
    if part.kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return False
    data = bytes(part.data)
    return data.startswith(TURNING_TEXTS) and _unpacks_to_little(part.kind, data)


def _unpacks_to_little(kind: bytes, data: bytes) -> bool:
    rest = data.partition(b"\0")[2]
    if kind == b"iTXt":
        is_packed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        is_packed, rest = kind == b"zTXt", rest[1:]
    if not is_packed:
        return True
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(rest, MAX_METADATA)
    except zlib.error:
        return False
    return unpacker.eof


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
    for part in png.parts:
        for start in range(0, len(part.data) if part.kind == b"IDAT" else 0, SLICE):
            packed = bytes(part.data[start : start + SLICE])
            while packed and count < most and not unpacker.eof:
                count += len(unpacker.decompress(packed, 2**20))
                packed = unpacker.unconsumed_tail
    return count
