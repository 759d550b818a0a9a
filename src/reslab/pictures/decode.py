"""Picture files decoded without trusting them."""

import io
import os
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from PIL.Image import Transpose
from torch import Tensor

from reslab.pictures import gif, jpeg, tiff
from reslab.pictures.checks import (
    LARGE_BYTES,
    LARGE_PIXELS,
    MAX_BYTES,
    MAX_PIXELS_TEXT,
    BadPictureError,
    open_header,
)
from reslab.pictures.formats import FIRST_BYTES, FORMATS, format_of
from reslab.pictures.netpbm import read_netpbm
from reslab.pictures.png import PNG_BEGINS, Png, read_png, read_png_head
from reslab.preprocess import resized

BITS, PHOTOMETRIC = 258, 262  # tags of a TIFF
GREY_TO_COLOR = "gray to color"

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


def decode(path: Path, channels: int, size: int) -> tuple[Tensor, list[str]]:
    """A picture as the network was trained on such: uint8 `[channels, size, size]`.

    It is turned as its EXIF data say; transparency is laid over white; 16 bits become 8; of an
    animation the first frame counts. The whole picture is resized as the training's were.

    Args:
        path: A file in one of `FORMATS`, whatever its name ends in.
        channels: 1 for gray, 3 for color.
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
                return _decode(file, size_in_bytes, channels, size)
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


def _decode(
    file: BinaryIO, size_in_bytes: int, channels: int, size: int
) -> tuple[Tensor, list[str]]:
    if size_in_bytes == 0:
        raise BadPictureError("the file is empty")
    if size_in_bytes > MAX_BYTES:
        raise BadPictureError(f"the file has more than {MAX_BYTES // 1_000_000} MB")
    first = file.read(FIRST_BYTES)
    form = format_of(first, Path(file.name).suffix)
    if form and form not in FORMATS:
        raise BadPictureError(f"{form} is not read, only {', '.join(FORMATS)}")
    head = read_png_head(first) if first.startswith(PNG_BEGINS) else None
    file.seek(0)
    if form not in ("PNG", "JPEG", "PPM") and size_in_bytes > LARGE_BYTES:
        try:
            open_header(file)  # so that it is not read for nothing
        except Image.UnidentifiedImageError:
            if form is None:
                raise
        file.seek(0)
    content = file.read(size_in_bytes)
    if form == "PPM":
        with _ONE_LARGE if 8 * size_in_bytes > LARGE_PIXELS else nullcontext():
            levels, bits = read_netpbm(content)
            array, notes = _as_array(Image.fromarray(levels), None, channels, bits)
            return _as_image(array, size), notes
    png = read_png(head, content) if head else None
    plain = _plain_png(png, channels) if png else None
    if plain is not None:
        return _as_image(plain, size), []
    if png:
        content = png.content
    elif form == "PNG":
        raise BadPictureError("damaged: it does not begin with its header")
    elif form == "JPEG":
        content = jpeg.without_metadata(content)
        jpeg.check_scans(content)
    elif form == "GIF":
        content = gif.without_metadata(content)
    elif form == "TIFF":
        content = tiff.without_lost_tags(content)
    picture = open_header(io.BytesIO(content))
    with _ONE_LARGE if picture.width * picture.height > LARGE_PIXELS else nullcontext():
        array, notes = _as_array(picture, png, channels)
        return _as_image(array, size), notes


def _as_image(array: np.ndarray, size: int) -> Tensor:
    image = torch.from_numpy(array)
    return resized(image[None] if image.ndim == 2 else image.permute(2, 0, 1), size)


def _plain_png(png: Png, channels: int) -> np.ndarray | None:
    """What most pictures for these networks are, without what Pillow spends on any other.

    That is a PNG of 8 bits a channel, with the channels wanted and nothing but its pixels. None
    says that it is something else, or damaged, which is then said where all others are decoded.
    """
    mode, color_type = ("L", 0) if channels == 1 else ("RGB", 2)
    head = png.head
    if (head.bits, head.color_type, head.interlaced) != (8, color_type, 0):
        return None
    if not 0 < head.width * head.height <= LARGE_PIXELS:
        return None
    if png.is_animated or {part.kind for part in png.parts} != {b"IHDR", b"IDAT", b"IEND"}:
        return None
    pixels = b"".join(part.data for part in png.parts if part.kind == b"IDAT")
    try:
        return np.array(Image.frombytes(mode, (head.width, head.height), pixels, "zip", mode))
    except ValueError:
        return None


def _as_array(
    picture: Image.Image, png: Png | None, channels: int, bits: int = 8
) -> tuple[np.ndarray, list[str]]:
    """`[H, W]` or `[H, W, 3]` of uint8; the `bits` of a PNG or TIFF are read from it."""
    tags = getattr(picture, "tag_v2", {})
    bits = png.head.bits if png else max(tags.get(BITS, (bits,)))
    if png and bits != 8 and png.head.color_type in (0, 2) and png.has(b"tRNS"):
        raise BadPictureError(
            f"one transparent color at {bits} bits a channel is not read; save it with 8"
        )
    # Pillow turns a TIFF when it loads it, and forgets that it was to be turned.
    turned_already = picture.format == "TIFF" and _orientation(picture) in TURNS
    picture.load()  # what is damaged is to be said here: where EXIF data are read it is passed over
    notes = []
    if getattr(picture, "is_animated", False) or (png and png.is_animated):
        notes.append("first frame of an animation")
    turned: Image.Image = picture
    turn = TURNS.get(_orientation(picture))
    if turn is not None:
        turned = picture.transpose(turn)
    if turned_already or turn is not None:
        notes.append("turned as EXIF says")
    if turned.mode in ("La", "RGBa"):  # colors multiplied by their opacity
        turned = turned.convert(turned.mode.upper())
    mode, grey = turned.mode, is_grey(turned) or bool(png and png.head.color_type in (0, 4))
    if mode.startswith("I;16"):
        most = 2**bits - 1
        levels = np.asarray(turned).astype(np.uint32)
        if tags.get(PHOTOMETRIC) == 0:  # white is zero
            levels = most - levels
        turned = Image.fromarray(((255 * levels + most // 2) // most).astype(np.uint8))
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
    if bits > 8:
        notes.append(f"{bits} bits to 8")
    if grey and channels == 3:
        notes.append(GREY_TO_COLOR)
    elif not grey and channels == 1:
        notes.append("color to gray")
        turned = turned.convert("RGB")  # from other spaces Pillow takes ways of its own to grey
    wanted = "L" if channels == 1 else "RGB"
    return np.array(turned if turned.mode == wanted else turned.convert(wanted)), notes


def is_grey(picture: Image.Image) -> bool:
    """Whether it has no colors; of a picture with a palette that is up to the palette's."""
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
