"""Picture files, found and decoded without trusting them."""

import io
import os
import stat
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image
from PIL.Image import Transpose
from torch import Tensor

from reslab.data.loader import resized
from reslab.errors import UserError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 50_000_000
MAX_PIXELS_TEXT = f"{MAX_PIXELS // 1_000_000} million"
MAX_BYTES = 8 * MAX_PIXELS  # four channels of 16 bits, not compressed
LARGE_PIXELS, LARGE_BYTES = 4_000_000, 4_000_000
SIXTEEN = "16 bits to 8"
NOT_REGULAR = "not a regular file"

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


@dataclass(frozen=True)
class Found:
    """A file to predict, with its name as the user would write it, or why it is left out."""

    path: Path
    problem: str | None = None


def find_pictures(paths: Sequence[Path], leave_out: Path | None = None) -> Iterator[Found]:
    """Files as they are given, and those below folders that have a picture's name, sorted.

    What lies below `leave_out`, where results are written, is none of them.

    Symbolic links that lead out of a folder or to a folder, and what is no regular file, are left
    out, which is said; nothing is opened.

    Raises:
        UserError: A path does not exist, or a folder has no picture in it.
    """
    for path in paths:
        if path.is_dir():
            empty = True
            for found in _walk(path, path.resolve(), leave_out and leave_out.resolve()):
                empty = False
                yield found
            if empty:
                names = ", ".join(suffix[1:] for suffix in SUFFIXES)
                raise UserError(f"{path} has no pictures in it ({names})")
        elif path.exists() or path.is_symlink():
            yield _checked(path)
        else:
            raise UserError(f"{path} does not exist")


def _walk(folder: Path, root: Path, leave_out: Path | None) -> Iterator[Found]:
    waiting: list[Path | Found] = [folder]  # the next one last; folders to list, files found
    while waiting:
        found = waiting.pop()
        if isinstance(found, Path):
            waiting.extend(reversed(list(_listed(found, root, leave_out))))
        else:
            yield found


def _listed(folder: Path, root: Path, leave_out: Path | None) -> Iterator[Path | Found]:
    """A folder's own files, and the folders in it."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        (folder / ".").stat()  # a folder may be listed and its files yet out of reach
    except OSError as error:
        yield Found(folder, f"cannot be read: {error.strerror}")
        return
    for entry in entries:  # which know what they are without a call of the system
        path = folder / entry.name
        named_so = path.suffix.lower() in SUFFIXES
        if entry.is_symlink():
            target = Path(os.path.realpath(path))
            to_folder = target.is_dir()
            if not (named_so or to_folder):
                continue
            if not target.is_relative_to(root):
                yield Found(path, "a link that leads out of the folder")
            elif to_folder:
                yield Found(path, "a link to a folder")
            else:
                yield _checked(path)
        elif entry.is_dir(follow_symlinks=False):
            if path.resolve() != leave_out:
                yield path
        elif named_so:
            regular = entry.is_file(follow_symlinks=False)
            yield Found(path, None if regular else NOT_REGULAR)


def _checked(path: Path) -> Found:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return Found(path, f"cannot be read: {error.strerror}")
    return Found(path, None if regular else NOT_REGULAR)


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
                array, notes = _decode(file, size_in_bytes, channels)
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
    image = torch.from_numpy(array)
    image = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    return resized(image, size), notes


def _decode(file: BinaryIO, size_in_bytes: int, channels: int) -> tuple[np.ndarray, list[str]]:
    if size_in_bytes == 0:
        raise BadPictureError("the file is empty")
    if size_in_bytes > MAX_BYTES:
        raise BadPictureError(f"the file has more than {MAX_BYTES // 1_000_000} MB")
    if size_in_bytes > LARGE_BYTES:  # which is not read for nothing
        _open(file)
        file.seek(0)
    content = file.read(size_in_bytes)
    picture = _open(io.BytesIO(content))
    if picture.format == "PNG":
        _compare_checksums(content)
    with _ONE_LARGE if picture.width * picture.height > LARGE_PIXELS else nullcontext():
        array, notes = _as_array(picture, channels)
    if picture.format == "PNG" and content[24] == 16 and SIXTEEN not in notes:
        notes.append(SIXTEEN)  # Pillow has cut them
    return array, notes


def _open(file: BinaryIO) -> Image.Image:
    """Reads the header alone."""
    picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise BadPictureError(f"{size} pixels are more than {MAX_PIXELS_TEXT}")
    return picture


def _compare_checksums(png: bytes) -> None:
    """Finds damage in a PNG's pixels, which Pillow decodes without a look at their checksums."""
    view, kind, start = memoryview(png), b"", 8
    while kind != b"IEND":
        length, kind = int.from_bytes(view[start : start + 4]), bytes(view[start + 4 : start + 8])
        end = start + 8 + length
        if end + 4 > len(png):
            raise BadPictureError("damaged: the file ends too early")
        if not kind.isalpha():
            raise BadPictureError("damaged: a part of it has no name")
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise BadPictureError(f"damaged: the checksum of its {kind.decode()} is wrong")
        start = end + 4


def _as_array(picture: Image.Image, channels: int) -> tuple[np.ndarray, list[str]]:
    """`[H, W]` or `[H, W, 3]` of uint8."""
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
