"""Which picture a file is, by its first bytes."""

import re

from PIL import features

HAS_AVIF = "avif" in features.modules and features.check("avif") is True  # since Pillow 11.3
BY_PILLOW = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", *(("AVIF",) if HAS_AVIF else ()))
FORMATS = (*BY_PILLOW, "PPM")  # what is decoded; PPM stands for PBM and PGM too
SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif"),
)
FIRST_BYTES = 256  # of a file, that tell

# A header of PBM, PGM or PPM: its kind, width and height, with comments.
PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+\d+(?:\s+|#[^\n]*\n)+\d+[\s#]")
BMP_HEADS = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of a BMP's second header
SIGNATURES = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG 2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
    "PSD": (b"8BPS",),
    "PDF": (b"%PDF-",),
    "SVG": (b"<svg",),
    "OpenEXR": (b"v/1\x01",),
    "DDS": (b"DDS ",),
    "QOI": (b"qoif",),
    "XCF": (b"gimp xcf",),
}
# Those whose first bytes say nothing, or that they are a TIFF, which of them is a preview alone.
BY_SUFFIX = {
    **dict.fromkeys((".svg", ".svgz"), "SVG"),
    **dict.fromkeys((".ico", ".cur"), "ICO"),
    **dict.fromkeys((".tga", ".icb", ".vda", ".vst"), "TGA"),
    **dict.fromkeys(
        (
            *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef"),
            *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".sr2", ".srw"),
        ),
        "camera raw",
    ),
}
NOT_READ = {*SIGNATURES, *BY_SUFFIX.values(), "AVIF", "HEIC", "DICOM"} - {*FORMATS}


def format_of(first: bytes, suffix: str = "") -> str | None:
    """A picture's format, one of `FORMATS` or another that is not read; None for no picture.

    Args:
        first: The file's first bytes, up to `FIRST_BYTES`.
        suffix: What its name ends in.
    """
    kind = _signed(first)
    if kind in (None, "TIFF") and first:
        return BY_SUFFIX.get(suffix.lower(), kind)
    return kind


def _signed(first: bytes) -> str | None:
    for kind, beginnings in SIGNATURES.items():
        if first.startswith(beginnings):
            return kind
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return "WEBP"
    if first[:2] == b"BM" and int.from_bytes(first[14:18], "little") in BMP_HEADS:
        return "BMP"
    if PNM.match(first):
        return "PPM"
    if first[4:8] == b"ftyp":
        end = min(int.from_bytes(first[:4]), len(first))
        brands = {first[at : at + 4] for at in (8, *range(16, end, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "HEIC"
    return "DICOM" if first[128:132] == b"DICM" else None
