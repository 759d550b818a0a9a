"""PBM, PGM and PPM: a header, and levels as bits, bytes, pairs of bytes or text."""

import re

import numpy as np

from reslab.pictures.checks import LARGE_PIXELS, BadPictureError, check_size

LONGEST_HEADER = 4096  # bytes
LONGEST_LEVEL = 16  # bytes of text, with the blanks around it
GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
SIZE = rb"P([1-6])" + GAP + rb"(\d{1,9})" + GAP + rb"(\d{1,9})"
BITMAP = re.compile(SIZE + rb"\s")
LEVELS = re.compile(SIZE + GAP + rb"(\d{1,9})\s")


def read_netpbm(content: bytes) -> tuple[np.ndarray, int]:
    """The first picture of a file.

    Returns:
        Levels uint8 `[H, W]` of grey or `[H, W, 3]`, and how many bits they had.

    Raises:
        BadPictureError: It is damaged, or has too many pixels.
    """
    is_bitmap = content[1:2] in b"14"
    header = (BITMAP if is_bitmap else LEVELS).match(content[:LONGEST_HEADER])
    if not header:
        raise BadPictureError("damaged: its header is none of PBM, PGM and PPM")
    kind, width, height = map(int, header.groups()[:3])
    most = 1 if is_bitmap else int(header[4])
    check_size(width, height)
    if width * height == 0 or not 0 < most < 2**16:
        raise BadPictureError("damaged: it has no pixels, or no such levels")
    shape = (height, width, 3) if kind in (3, 6) else (height, width)
    if kind <= 3:
        if width * height > LARGE_PIXELS:
            raise BadPictureError(f"more than {LARGE_PIXELS // 1_000_000} million pixels as text")
        levels = _from_text(content[header.end() :], kind == 1, int(np.prod(shape)))
    elif is_bitmap:
        rows = _from_bytes(content, header.end(), (height, -(-width // 8)), "u1")
        levels = np.unpackbits(rows, axis=1, count=width)
    else:
        levels = _from_bytes(content, header.end(), shape, "u1" if most < 256 else ">u2")
    levels = levels.reshape(shape)
    if levels.max() > most:
        raise BadPictureError(f"damaged: a level is more than {most}, the largest it is to have")
    if is_bitmap:
        levels = 1 - levels  # one is black
    if most == 255:
        return levels.astype(np.uint8), 8
    scaled = ((255 * np.arange(most + 1) + most // 2) // most).astype(np.uint8)
    image = np.empty(shape, np.uint8)
    for row, given in zip(image, levels, strict=True):  # all at once would take eight bytes a level
        row[:] = scaled[given]
    return image, most.bit_length()


def _from_bytes(content: bytes, start: int, shape: tuple[int, ...], kind: str) -> np.ndarray:
    number = int(np.prod(shape))
    if len(content) - start < number * np.dtype(kind).itemsize:
        raise BadPictureError("damaged: the file ends too early")
    return np.frombuffer(content, kind, number, start).reshape(shape)


def _from_text(text: bytes, digits: bool, number: int) -> np.ndarray:
    """Numbers between blanks, or single digits with blanks or without."""
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if not re.fullmatch(rb"[\d\s]*", text):
        raise BadPictureError("damaged: its levels are no numbers")
    if digits:
        levels = np.frombuffer(b"".join(text.split())[:number], np.uint8) - float(ord("0"))
    else:
        text = text[: LONGEST_LEVEL * number]
        levels = np.fromstring(text, sep=" ") if text.strip() else np.empty(0)
    if len(levels) < number:
        raise BadPictureError("damaged: the file ends too early")
    return np.minimum(levels[:number], 2**16).astype(np.int64)
