"""Picture files decoded without trusting them."""

import io
import os
import struct
import threading
import warnings
import zlib
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from PIL.Image import Transpose
from torch import Tensor

from reslab.data.loader import resized

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = 50_000_000
MAX_PIXELS_TEXT = f"{MAX_PIXELS // 1_000_000} million"
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 4_000_000
PNG_BEGINS = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
SIXTEEN = "16 bits to 8"

# Pillow warns of what is large or damaged; here the results say so.
warnings.filterwarnings("ignore", module="PIL")
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_ONE_LARGE = threading.RLock()  # however many threads decode, memory holds one large picture


# By EXIF's orientation: from how the picture is stored to how it is to be seen.
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


class BadPictureError(Exception):
    """Why a file is not decoded, for its row in the results."""


def decode(path: Path, channels: int, size: int) -> tuple[Tensor, list[str]]:
    """A picture as the network was trained on such: uint8 `[channels, size, size]`.

    It is turned as its EXIF data say; transparency is laid over white; 16 bits become 8; of an
    animation the first frame counts. The whole picture is resized as the training's were.

    Args:
        path: A file in one of `FORMATS`, whatever its name ends in.
        channels: 1 for grey, 3 for colour.
        size: Height and width in pixels.

    Returns:
        The picture, and what was done to it that changes what it shows.

    Raises:
        BadPictureError: The file is no such picture, damaged, or has too many pixels.
    """
    try:
        with open(path, "rb") as file:
            size_in_bytes = os.fstat(file.fileno()).st_size
            with _ONE_LARGE if size_in_bytes > LARGE_BYTES else nullcontext():
                image, notes = _decode(file, size_in_bytes, channels)
    except BadPictureError:
        raise
    except Image.DecompressionBombError as error:
        raise BadPictureError(f"more than {MAX_PIXELS_TEXT} pixels") from error
    except Image.UnidentifiedImageError as error:
        raise BadPictureError(f"not a picture ({', '.join(FORMATS)})") from error
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        if isinstance(error, OSError) and error.strerror:
            raise BadPictureError(f"cannot be read: {error.strerror}") from error
        text = " ".join(str(error).split()) or type(error).__name__
        raise BadPictureError(f"damaged: {text}") from error
    return resized(image, size), notes


def _decode(file: BinaryIO, size_in_bytes: int, channels: int) -> tuple[Tensor, list[str]]:
    if size_in_bytes == 0:
        raise BadPictureError("the file is empty")
    if size_in_bytes > MAX_BYTES:
        raise BadPictureError(f"the file has more than {MAX_BYTES // 1_000_000} MB")
    if size_in_bytes > LARGE_BYTES:  # which is not read for nothing
        _open(file)
        file.seek(0)
    content = file.read(size_in_bytes)
    plain = _plain_png(content, channels)
    if plain is not None:
        return _as_image(plain), []
    picture = _open(io.BytesIO(content))
    if picture.format == "PNG":
        _parts(content)
    with _ONE_LARGE if picture.width * picture.height > LARGE_PIXELS else nullcontext():
        array, notes = _as_array(picture, channels)
    if picture.format == "PNG" and content[24] == 16 and SIXTEEN not in notes:
        notes.append(SIXTEEN)  # Pillow has cut them
    return _as_image(array), notes


def _as_image(array: np.ndarray) -> Tensor:
    image = torch.from_numpy(array)
    return image[None] if image.ndim == 2 else image.permute(2, 0, 1)


def _open(file: BinaryIO) -> Image.Image:
    """Reads the header alone."""
    picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise BadPictureError(f"{size} pixels are more than {MAX_PIXELS_TEXT}")
    return picture


def _plain_png(content: bytes, channels: int) -> np.ndarray | None:
    """What most pictures for these networks are, without what Pillow spends on any other.

    That is a PNG of 8 bits a channel, with the channels wanted and nothing but its pixels. None
    says that it is something else, or damaged, which is then said where all others are decoded.
    """
    mode, color_type = ("L", 0) if channels == 1 else ("RGB", 2)
    if content[:16] != PNG_BEGINS or content[24:29] != bytes([8, color_type, 0, 0, 0]):
        return None
    width, height = struct.unpack_from(">II", content, 16)
    if not 0 < width * height <= LARGE_PIXELS:
        return None
    parts = _parts(content)
    pixels = b"".join(part for kind, part in parts if kind == b"IDAT")
    if {kind for kind, _ in parts} != {b"IHDR", b"IDAT", b"IEND"}:
        return None
    try:
        return np.array(Image.frombytes(mode, (width, height), pixels, "zip", mode))
    except ValueError:
        return None


def _parts(png: bytes) -> list[tuple[bytes, memoryview]]:
    """A PNG's parts and their names; compares the checksums, at which Pillow does not look.

    Raises:
        BadPictureError: The file is damaged.
    """
    view, kind, start, parts = memoryview(png), b"", 8, []
    while kind != b"IEND":
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        end = start + 8 + length
        if end + 4 > len(png):
            raise BadPictureError("damaged: the file ends too early")
        if not kind.isalpha():
            raise BadPictureError("damaged: a part of it has no name")
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise BadPictureError(f"damaged: the checksum of its {kind.decode()} is wrong")
        parts.append((kind, view[start + 8 : end]))
        start = end + 4
    return parts


def _as_array(picture: Image.Image, channels: int) -> tuple[np.ndarray, list[str]]:
    """`[H, W]` or `[H, W, 3]` of uint8."""
    picture.load()  # what is damaged is to be said here: where EXIF data are read it is passed over
    notes = []
    if getattr(picture, "is_animated", False):
        notes.append("first frame of an animation")
    turned: Image.Image = picture
    turn = TURNS.get(_orientation(picture))
    if turn is not None:
        turned = picture.transpose(turn)
        notes.append("turned as EXIF says")
    mode, grey = turned.mode, _is_grey(turned)
    if mode.startswith("I;16"):
        levels = np.asarray(turned).astype(np.uint32)
        turned = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
        notes.append(SIXTEEN)
    elif mode in ("I", "F"):
        raise BadPictureError(
            f"pixels of mode {mode} have no known range; save it with 8 or 16 bits"
        )
    elif mode in ("LA", "PA", "RGBA") or "transparency" in turned.info:
        over = turned.convert("RGBA")
        white = Image.new("RGBA", over.size, "white")
        flat = Image.alpha_composite(white, over)
        turned = flat.convert("L" if grey else "RGB")
        notes.append("transparency laid over white")
    if grey and channels == 3:
        notes.append("grey to colour")
    elif not grey and channels == 1:
        notes.append("colour to grey")
        turned = turned.convert("RGB")  # from other spaces Pillow takes ways of its own to grey
    wanted = "L" if channels == 1 else "RGB"
    return np.array(turned if turned.mode == wanted else turned.convert(wanted)), notes


def _is_grey(picture: Image.Image) -> bool:
    """Whether it has no colours; of a picture with a palette that is up to the palette's."""
    palette = picture.getpalette("RGB") if picture.mode in ("P", "PA") else None
    if palette is None:
        return picture.mode in ("1", "L", "LA") or picture.mode.startswith("I;16")
    red, green, blue = palette[::3], palette[1::3], palette[2::3]
    return red == green == blue


def _orientation(picture: Image.Image) -> int:
    """What EXIF says, 1 for upright; damaged EXIF data say nothing."""
    try:
        return picture.getexif().get(0x0112, 1)
    except Exception:  # whatever damaged data make the parser stumble over
        return 1
