"""What panels of several runs have in common: how one is titled, and told from the others."""

import textwrap

from bokeh.models import Title

from reslab.evaluation.palette import COLORS

DASHES = "solid", "dashed", "dotted", "dashdot"  # as matplotlib and Bokeh both name them


def named(title: str) -> Title:
    """Above a panel of a page that may be narrow."""
    return Title(text=wrapped(title, 42), text_font_size="11px")


def wrapped(title: str, width: int) -> str:
    """A title in lines, its accuracy in one of them."""
    return textwrap.fill(title.replace("test ", "test\N{NO-BREAK SPACE}"), width)


def look(at: int) -> tuple[str, str]:
    """The color and the dashes by which a line is told from the others of a panel."""
    return COLORS[at % len(COLORS)], DASHES[at // len(COLORS) % len(DASHES)]
