"""JPEG files looked through before Pillow sees them: scans are counted, metadata left out."""

import re

from reslab.pictures.checks import BadPictureError

MAX_SCANS = 100  # each may cover all of the picture; cameras and editors make about ten
JPEG_SEGMENT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")  # what is no part of a scan's data
END, SCAN, COMMENT = 0xD9, 0xDA, 0xFE
APPLICATIONS = range(0xE0, 0xF0)
# What applications say that alters how the picture is seen, and how long it is at least.
KEPT = {
    (0xE0, b"JFIF\0"): 14,  # colors
    (0xEE, b"Adobe"): 12,
    (0xE1, b"Exif\0\0"): 6,  # how it is turned
    (0xE1, b"http://ns.adobe.com/xap/1.0/\0"): 29,
}


def check_scans(jpeg: bytes) -> None:
    """Refuses a JPEG that a decoder would go over more often than any picture needs.

    Raises:
        BadPictureError: It has too many scans.
    """
    scans, at = 0, 2
    while (found := JPEG_SEGMENT.search(jpeg, at)) and jpeg[found.start() + 1] != END:
        at = found.end() + int.from_bytes(jpeg[found.end() : found.end() + 2])
        scans += jpeg[found.start() + 1] == SCAN
        if scans > MAX_SCANS:
            raise BadPictureError(f"it has more than {MAX_SCANS} scans")


def without_metadata(jpeg: bytes) -> bytes:
    """The same picture without what applications say beside it, which may be damaged, or much.

    What says how it is turned stays, the first of its kind.
    """
    view, at = memoryview(jpeg), 2
    kept = [view[:2]]
    seen: set[tuple[int, bytes]] = set()
    while jpeg[at : at + 1] == b"\xff" and (marker := jpeg[at + 1 : at + 2]) not in (b"", b"\xda"):
        if marker == b"\xff":  # which fills up
            at += 1
            continue
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if end > len(jpeg):
            break
        data = jpeg[at + 4 : end]
        if marker[0] in APPLICATIONS:
            names = [
                key
                for key, least in KEPT.items()
                if key[0] == marker[0] and data.startswith(key[1]) and len(data) >= least
            ]
            if names and names[0] not in seen:
                seen.add(names[0])
                kept.append(view[at:end])
        elif marker[0] != COMMENT:
            kept.append(view[at:end])
        at = end
    return b"".join([*kept, view[at:]])
