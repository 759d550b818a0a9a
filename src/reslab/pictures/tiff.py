"""TIFF files without tags whose data are not in the file, before Pillow sees them."""

import struct

ENTRY = 12  # bytes
WIDTHS = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
}  # by type


def without_lost_tags(tiff: bytes) -> bytes:
    """The same without tags of the first picture that lie behind the end: Pillow reads none after.

    What a picture needs is missed where it is decoded; text about it is not.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return tiff
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return tiff
    (number,) = struct.unpack_from(f"{order}H", tiff, start)
    end = start + 2 + number * ENTRY
    if end + 4 > len(tiff):
        return tiff
    entries = [tiff[at : at + ENTRY] for at in range(start + 2, end, ENTRY)]
    kept = [entry for entry in entries if _is_there(entry, order, len(tiff))]
    if len(kept) == number:
        return tiff
    table = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + tiff[end : end + 4]
    return tiff[:start] + table + tiff[start + len(table) :]


def _is_there(entry: bytes, order: str, size: int) -> bool:
    _, kind, number, start = struct.unpack(f"{order}HHII", entry)
    length = WIDTHS.get(kind, 0) * number
    return length <= 4 or start + length <= size
