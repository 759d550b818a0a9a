"""Where two tables differ, by what `table.json` has of them."""

import math
from collections.abc import Iterator
from typing import Any

ROUNDING = 1e-9  # relative: other kernels add up in another order


def differences(said: Any, expected: Any, whole: bool, place: str = "") -> Iterator[str]:
    """A line for each value that is not what it should be; numbers may differ by rounding.

    Args:
        said: What is in question, as JSON's types.
        expected: What it should be.
        whole: Whether texts count, and what only one of the two has; else numbers alone.
        place: Where in a table it is.
    """
    if isinstance(said, dict) and isinstance(expected, dict):
        for key in sorted(said.keys() & expected.keys()):
            yield from differences(said[key], expected[key], whole, f"{place}.{key}".lstrip("."))
        if whole and (alone := sorted(said.keys() ^ expected.keys())):
            yield f"{place or 'it'} has or lacks {', '.join(alone)}"
    elif isinstance(said, list) and isinstance(expected, list):
        if len(said) != len(expected):
            if whole or not all(isinstance(one, str) for one in expected):
                yield f"{place} has {len(said)} entries, and {len(expected)} by the records"
            return
        for at, pair in enumerate(zip(said, expected, strict=True)):
            yield from differences(*pair, whole, f"{place}[{at}]")
    elif _is_number(said) and _is_number(expected):
        same = math.isclose(said, expected, rel_tol=ROUNDING, abs_tol=ROUNDING)
        if not same and not (math.isnan(said) and math.isnan(expected)):
            yield f"{place} is {said:.10g}, and {expected:.10g} by the records"
    elif said != expected and (whole or _is_number(said) or _is_number(expected)):
        yield f"{place} is {said!r:.60}, and {expected!r:.60} by the records"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
