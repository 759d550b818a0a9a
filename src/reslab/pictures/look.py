"""What a picture file is, without decoding it where its header says so."""

from pathlib import Path
from typing import NamedTuple

from reslab.pictures.checks import BadPictureError, open_header
from reslab.pictures.decode import GREY_TO_COLOR, decode, is_grey


class Look(NamedTuple):
    """What is known of a picture before it is decoded at its size.

    Attributes:
        is_grey: Whether it has no colors; None where it cannot be read.
        size: Width and height in pixels as it is stored; None where its header does not say them.
    """

    is_grey: bool | None
    size: tuple[int, int] | None


def look(path: Path) -> Look:
    """Reads a picture's header, and the picture itself where a header alone is not understood."""
    try:
        with open(path, "rb") as file:
            picture = open_header(file)
            return Look(is_grey(picture), picture.size)
    except Exception:  # whatever damaged headers make decoders stumble over
        pass
    try:
        return Look(GREY_TO_COLOR in decode(path, 3, 1)[1], None)
    except BadPictureError:
        return Look(None, None)
