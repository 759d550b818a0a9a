"""Metadata that are damaged, or much, beside a picture that is whole: its pixels decide."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pictures import part
from reslab.pictures.checks import BadPictureError
from reslab.pictures.decode import decode

PIXELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
MUCH = bytes(3_000_000)
TEXT = b"a\0"


def encoded(form: str, **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, form, **options)
    return content.getvalue()


def decoded(folder, content: bytes):
    (folder / "a").write_bytes(content)
    image, notes = decode(folder / "a", 3, 16)
    return image.permute(1, 2, 0).numpy(), notes


def spoiled(one: bytes) -> bytes:
    """A part of a PNG whose checksum is wrong."""
    return one[:-1] + bytes([one[-1] ^ 1])


PNG_PARTS = {
    "3 MB of zTXt": part(b"zTXt", TEXT + b"\0" + zlib.compress(MUCH)),
    "3 MB of iTXt": part(b"iTXt", TEXT + b"\1\0\0\0" + zlib.compress(MUCH)),
    "3 MB of tEXt": part(b"tEXt", TEXT + MUCH),
    "3 MB of ICC": part(b"iCCP", TEXT + b"\0" + zlib.compress(MUCH)),
    "3 MB of EXIF": part(b"eXIf", MUCH),
    "3 MB of EXIF as text": part(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(MUCH)),
    "3 MB of XMP": part(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(MUCH)),
    "100 MB of texts": 100 * part(b"zTXt", TEXT + b"\0" + zlib.compress(bytes(1_000_000))),
    "100 MB of EXIF": 100
    * part(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(1_000_000))),
    "no stream": part(b"zTXt", b"Raw profile type exif\0\0no stream"),
    "no profile": part(b"iCCP", b"a"),
    "no method": part(b"iCCP", TEXT + b"\5" + zlib.compress(b"a")),
    "no EXIF": part(b"eXIf", b"garbage"),
    "no gamma": part(b"gAMA", b"1"),
    "no colors": part(b"cHRM", b"1"),
    "no resolution": part(b"pHYs", b"1"),
    "no intent": part(b"sRGB"),
    "no animation": part(b"acTL"),
    "no frame": part(b"fcTL"),
    "no frame's pixels": part(b"fdAT"),
    "a wrong checksum of text": spoiled(part(b"tEXt", TEXT)),
    "a wrong checksum of EXIF": spoiled(part(b"eXIf", b"II*\0")),
    "a wrong checksum of a resolution": spoiled(part(b"pHYs", bytes(9))),
    "what nobody knows": part(b"abCd", b"1"),
}


@pytest.mark.parametrize("what", PNG_PARTS)
def test_a_png_is_its_pixels_whatever_stands_beside_them(tmp_path, what):
    content = encoded("PNG")
    for at in (33, len(content) - 12):  # before the pixels, and behind them
        image, notes = decoded(tmp_path, content[:at] + PNG_PARTS[what] + content[at:])
        assert (image == PIXELS).all()
        assert notes == []


@pytest.mark.parametrize("one", [part(b"tRNS", bytes(6)), part(b"PLTE", bytes(6))])
def test_a_wrong_checksum_of_what_alters_pixels_is_damage(tmp_path, one):
    content = encoded("PNG")
    with pytest.raises(BadPictureError, match=r"checksum of its (tRNS|PLTE) is wrong"):
        decoded(tmp_path, content[:33] + spoiled(one) + content[33:])


UPSIDE_DOWN = struct.pack("<HHIHH", 0x0112, 3, 1, 3, 0)
EXIF = b"II*\0" + struct.pack("<IH", 8, 1) + UPSIDE_DOWN + bytes(4)
XMP = b"<tiff:Orientation>3</tiff:Orientation>"
RAW = b"\nexif\n%8d\n" % (len(EXIF) + 6) + (b"Exif\0\0" + EXIF).hex().encode()


@pytest.mark.parametrize(
    "one",
    [
        part(b"eXIf", EXIF),
        part(b"tEXt", b"Raw profile type exif\0" + RAW),
        part(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW)),
        part(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        part(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
    ],
)
def test_metadata_that_turn_a_png_are_read_among_such_as_are_not(tmp_path, one):
    content = encoded("PNG")
    both = PNG_PARTS["3 MB of zTXt"] + one
    image, notes = decoded(tmp_path, content[:33] + both + content[33:])
    assert (image == PIXELS[::-1, ::-1]).all()
    assert notes == ["turned as EXIF says"]


def segment(marker: int, data: bytes) -> bytes:
    """Of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


JPEG_SEGMENTS = {
    "no EXIF": segment(0xE1, b"Exif\0\0garbage"),
    "16 MB of EXIF": 250 * segment(0xE1, b"Exif\0\0" + bytes(65_000)),
    "no XMP": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000)),
    "no profile": segment(0xE2, b"ICC_PROFILE\0"),
    "16 MB of profile": 250 * segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65_000)),
    "no pictures": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"),
    "no resource": segment(0xED, b"Photoshop 3.0\x008BIM\3\xed\0\0\xff\xff\xff\xff"),
    "a cut Adobe": segment(0xEE, b"Adobe\0"),
    "a cut JFIF": segment(0xE0, b"JFIF\0"),
    "16 MB of comments": 250 * segment(0xFE, bytes(65_000)),
    "what nobody knows": segment(0xE7, b"z"),
}


@pytest.mark.parametrize("what", JPEG_SEGMENTS)
def test_a_jpeg_is_its_pixels_whatever_stands_beside_them(tmp_path, what):
    """Behind the first two bytes, and behind JFIF's segment; large files are read as small ones."""
    content = encoded("JPEG")
    expected, _ = decoded(tmp_path, content)
    for at in (2, 20):
        image, notes = decoded(tmp_path, content[:at] + JPEG_SEGMENTS[what] + content[at:])
        assert (image == expected).all()
        assert notes == []


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_what_says_how_a_jpeg_has_its_colors_stays(tmp_path, mode):
    """Pillow writes Adobe's segment for CMYK, without which it would be inverted."""
    picture = Image.fromarray(PIXELS).convert(mode)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=100, subsampling=0, icc_profile=b"none", comment=b"none")
    image, _ = decoded(tmp_path, content.getvalue())
    assert abs(image.astype(int) - np.array(picture.convert("RGB"))).mean() < 3


def tiff(order: str, tag: int, kind: int, number: int, start: int) -> bytes:
    """With a further tag among those that the picture needs."""
    needed = {256: 16, 257: 16, 258: 8, 259: 1, 262: 2, 277: 3, 278: 16, 279: PIXELS.size}
    tags = {key: (4, 1, value) for key, value in needed.items()} | {tag: (kind, number, start)}
    begin = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags[273] = (4, 1, begin)
    entries = [struct.pack(f"{order}HHII", key, *value) for key, value in sorted(tags.items())]
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    return head + b"".join(entries) + bytes(4) + PIXELS.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "tag", [254, 269, 270, 282, 305, 315, 330, 700, 33723, 34377, 34665, 34675]
)
@pytest.mark.parametrize(
    ("kind", "number", "start"),
    [(2, 100, 10**8), (7, 2**32 - 1, 8), (5, 2**31, 2**32 - 1), (99, 1, 0), (2, 4, 0x61626364)],
)
def test_a_tiff_is_its_pixels_whatever_other_tags_say(tmp_path, order, tag, kind, number, start):
    content = tiff(order, tag, kind, number, start)
    for behind in (b"", bytes(5_000_000)):  # large files are looked at before they are read
        image, notes = decoded(tmp_path, content + behind)
        assert (image == PIXELS).all()
        assert notes == []


def test_a_tiff_whose_pixels_lie_behind_its_end_is_damaged(tmp_path):
    content = tiff("<", 305, 2, 100, 10**8)
    with pytest.raises(BadPictureError, match=r"damaged|not a picture"):
        decoded(tmp_path, content[:-100])


GIF_BLOCKS = {
    "nothing of an application": b"\x21\xff\0",
    "a short name of one": b"\x21\xff\3abc\1z\0",
    "no text": b"\x21\1\0",
    "no control": b"\x21\xf9\1\0\0",
    "an empty comment": b"\x21\xfe\0",
    "what nobody knows": b"\x21\x77\1z\0",
    "5 MB of comments": 50 * (b"\x21\xfe" + 400 * (b"\xff" + bytes(255)) + b"\0"),
    "300,000 comments": 300_000 * b"\x21\xfe\1c\0",
}


@pytest.mark.parametrize("what", GIF_BLOCKS)
@pytest.mark.parametrize("frames", [1, 2])
def test_a_gif_is_its_frames_whatever_stands_between_them(tmp_path, what, frames):
    """Before the first frame, and behind the last."""
    content = encoded(
        "GIF", save_all=True, append_images=(frames - 1) * [Image.new("RGB", (16, 16))]
    )
    expected, notes = decoded(tmp_path, content)
    assert notes == ["first frame of an animation"] * (frames - 1)
    begin = 13 + 3 * 2 ** (1 + (content[10] & 7))
    for at in (begin, len(content) - 1):
        image, said = decoded(tmp_path, content[:at] + GIF_BLOCKS[what] + content[at:])
        assert (image == expected).all()
        assert said == notes


@pytest.mark.parametrize("form", ["WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF", "JPEG", "PNG"])
def test_damaged_metadata_and_what_follows_the_end_change_nothing(tmp_path, form):
    if form == "AVIF" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow does not write AVIF")
    options = {"icc_profile": MUCH, "xmp": b"\xff" * 60_000, "comment": b"\xff" * 60_000}
    options |= {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff"} if form in ("WEBP", "JPEG", "PNG") else {}
    expected, notes = decoded(tmp_path, encoded(form))
    for content in (encoded(form, **options), encoded(form) + MUCH):
        image, said = decoded(tmp_path, content)
        assert (image == expected).all()
        assert said == notes
