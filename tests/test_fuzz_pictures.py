"""Whatever bytes a picture's file holds, it is decoded or its row says why not."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pictures import part
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode
from reslab.pictures.formats import BY_PILLOW, SIGNATURES, format_of
from reslab.pictures.look import look
from searched import damaged, examples

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # which `decode` does itself
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)


def written(form, mode="RGB", **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, form, **options)
    return file.getvalue()


EXIF = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
WHOLE = {
    **{form: written(form) for form in BY_PILLOW},
    "palette": written("PNG", "P"),
    "bits": written("PNG", "1"),
    "alpha": written("PNG", "RGBA"),
    "turned": written("JPEG", exif=EXIF),
    "progressive": written("JPEG", progressive=True),
    "packed": written("TIFF", compression="tiff_lzw"),
    "frames": written("GIF", "P", save_all=True, append_images=[Image.new("P", (5, 7))]),
    "PPM": written("PPM"),
    "text": b"P3 2 1 255\n1 2 3 4 5 6\n",
    "PBM": b"P1 # a comment\n3 2\n1 0 1 0 1 1\n",
}


def is_decoded_or_refused(file, content, channels):
    file.write_bytes(content)
    try:
        image, notes = decode(file, channels, 4)
    except BadPictureError as error:
        line = str(error)
        assert len(line.splitlines()) == 1
        assert line
    else:
        assert (image.shape, image.dtype) == ((channels, 4, 4), torch.uint8)
        assert all(isinstance(note, str) for note in notes)
    look(file)
    format_of(content[:256], file.suffix)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_damaged_picture_is_decoded_or_refused_in_a_line(kind, tmp_path):
    @examples(20)
    @given(damaged(WHOLE[kind]), st.sampled_from([1, 3]))
    def check(content, channels):
        is_decoded_or_refused(tmp_path / "a", content, channels)

    check()


BEGINNINGS = st.sampled_from(
    [one for kind in SIGNATURES.values() for one in kind] + [b"P6 ", b"BM"]
)


def test_bytes_behind_any_beginning_are_decoded_or_refused_in_a_line(tmp_path):
    @examples(70)
    @given(BEGINNINGS, st.binary(max_size=80), st.sampled_from(["", ".png", ".svg", ".dng"]))
    def check(first, rest, suffix):
        is_decoded_or_refused(tmp_path / f"a{suffix}", first + rest, 3)

    check()


def test_parts_of_a_png_whose_checksums_are_right_are_decoded_or_refused_in_a_line(tmp_path):
    """So that what is in them is looked at."""
    head, tail = WHOLE["PNG"][:33], WHOLE["PNG"][33:]
    kinds = st.sampled_from(
        [b"tRNS", b"PLTE", b"eXIf", b"zTXt", b"iTXt", b"acTL", b"IDAT", b"IHDR"]
    )

    @examples(40)
    @given(
        st.lists(st.tuples(kinds, st.binary(max_size=30)), max_size=3),
        st.binary(min_size=13, max_size=13),
    )
    def check(parts, header):
        between = b"".join(part(kind, data) for kind, data in parts)
        is_decoded_or_refused(tmp_path / "a", head + between + tail, 3)
        is_decoded_or_refused(tmp_path / "a", head[:8] + part(b"IHDR", header) + between + tail, 1)

    check()
