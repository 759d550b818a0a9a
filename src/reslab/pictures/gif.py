"""GIF files without what is said beside their pictures, before Pillow sees them."""

HEADER = 13  # bytes
IMAGE, CONTROL = 0x2C, 0xF9  # what a frame begins with, and an extension that says how it is shown


def without_metadata(gif: bytes) -> bytes:
    """The same frames without comments and what applications say, which may be damaged, or much.

    From where it is no longer a GIF, all stays as it is.
    """
    view, at = memoryview(gif), HEADER + _palette(gif, 10)
    kept = [view[:at]]
    while gif[at : at + 1] in (b"\x21", b"\x2c"):
        start = at
        is_frame = gif[at] == IMAGE
        at += 11 + _palette(gif, at + 9) if is_frame else 2
        is_control = not is_frame and gif[start + 1 : start + 3] == bytes([CONTROL, 4])
        while gif[at : at + 1] not in (b"", b"\0"):
            at += 1 + gif[at]
        at += 1
        if is_frame or is_control:
            kept.append(view[start:at])
    return b"".join([*kept, view[at:]])


def _palette(gif: bytes, at: int) -> int:
    """Bytes of the palette that follows flags at that place."""
    flags = gif[at] if at < len(gif) else 0
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0
