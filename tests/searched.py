"""Properties that hold for every example, and how many examples are tried.

The same ones in every run of the suite, so that it is no lottery. `RESLAB_EXAMPLES=10000` tries as
many of each property, others in every run: to look for faults by hand.
"""

import json
import os
import tempfile

os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", f"{tempfile.gettempdir()}/hypothesis")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from reslab.errors import UserError

ASKED = int(os.environ.get("RESLAB_EXAMPLES", "0"))

settings.register_profile(
    "reslab",
    derandomize=not ASKED,
    print_blob=bool(ASKED),
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("reslab")


def examples(usual: int) -> settings:
    """So many in every run of the suite."""
    return settings(max_examples=ASKED or usual)


def told(read, *arguments):
    """What a call gives, or the one line that it refuses its arguments with; nothing else."""
    try:
        return read(*arguments)
    except UserError as error:
        line = str(error)
    assert len(line.splitlines()) == 1, f"not one line: {line!r}"
    return line


TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "0", "nan", "=1+1", "../x", "/etc/passwd", "\ud800", "a\nb", "\u2028", "null", "${seed}"]
)
# Whatever JSON can say, in Python's reading of it, which has numbers that are none too.
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**63, 10**400, 1e308, float("nan"), float("inf")])
    | st.floats()
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
DEEP = [b"[" * 3_000, b'{"a":' * 3_000, b"[" * 3_000 + b"]" * 3_000]


@st.composite
def altered(draw, content):
    """JSON's content with a value somewhere in it left out or replaced."""
    copy = json.loads(json.dumps(content))
    node = copy
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = draw(st.sampled_from(keys))
        below = node[key]
        if isinstance(below, dict | list) and below and draw(st.booleans()):
            node = below
            continue
        if draw(st.integers(0, 4)) == 0:
            del node[key]
        else:
            node[key] = draw(PLAIN)
        return copy


@st.composite
def damaged(draw, content: bytes):
    """A file's content cut off, with bytes flipped, put in, taken out or said twice."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        end = at + draw(st.integers(0, 12))
        how = draw(st.sampled_from(["cut", "flip", "in", "out", "twice", "byte"]))
        if how == "cut":
            del content[at:]
        elif how == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "byte" and at < len(content):
            content[at] = draw(st.sampled_from([0, 0xFF, 0x7F, 0x80, 0x2D, 0x22]))
        elif how == "in":
            content[at:at] = draw(st.binary(max_size=8))
        elif how == "out":
            del content[at:end]
        else:
            content[at:at] = content[at:end]
    return bytes(content)


def spoilt_json(content):
    """A JSON file that is another program's, damaged, or half right."""
    written = json.dumps(content).encode()
    return (
        st.binary(max_size=60)
        | st.sampled_from(DEEP)
        | damaged(written)
        | PLAIN.map(lambda value: json.dumps(value).encode())
        | altered(content).map(lambda value: json.dumps(value).encode())
    )
