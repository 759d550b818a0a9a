"""What a picture file must not be: too large, damaged, or made to keep a decoder busy."""

from typing import BinaryIO

from PIL import Image

from reslab.pictures.formats import BY_PILLOW

MAX_PIXELS = 50_000_000
MAX_PIXELS_TEXT = f"{MAX_PIXELS // 1_000_000} million"
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 4_000_000
MAX_SIDE = 65_535  # pixels, the most that a JPEG can have
MAX_TILE = 4096 * 4096  # pixels of a TIFF's tile, if it is larger than two of its picture
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of a TIFF


class BadPictureError(Exception):
    """Why a file is not decoded, for its row in the results."""


def open_header(file: BinaryIO) -> Image.Image:
    """Reads a picture's header alone.

    Raises:
        BadPictureError: It has too many pixels, or tiles that are larger than pictures should be.
    """
    picture = Image.open(file, formats=BY_PILLOW)
    check_size(picture.width, picture.height)
    tags = getattr(picture, "tag_v2", {})
    width, height = tags.get(TILE_WIDTH, 0), tags.get(TILE_HEIGHT, 0)
    if width * height > max(MAX_TILE, 2 * picture.width * picture.height):
        raise BadPictureError(f"tiles of {width} x {height} pixels are too large")
    return picture


def check_size(width: int, height: int) -> None:
    """Refuses more pixels than are decoded.

    Raises:
        BadPictureError: There are more of them, or of one side.
    """
    if max(width, height) > MAX_SIDE:
        raise BadPictureError(f"a side of {max(width, height)} pixels is more than {MAX_SIDE:,}")
    if width * height > MAX_PIXELS:
        raise BadPictureError(f"{width} x {height} pixels are more than {MAX_PIXELS_TEXT}")
