"""How a table's rows are drawn, in every picture alike."""

from collections.abc import Sequence
from typing import Any

from reslab.evaluation.palette import COLORS
from reslab.tables.publication import Row


def styled(rows: Sequence[Row]) -> list[tuple[Row, dict[str, Any]]]:
    """Each row with its line style: of its own color, or of its depth's.

    Where there are depths, the first family is dashed: it is the plain one, so that solid lines are
    those with shortcuts.
    """
    depths = sorted({row.depth for row in rows if row.depth is not None})
    families = list(dict.fromkeys(row.family for row in rows))
    styles = []
    for at, row in enumerate(rows):
        if row.depth is None:
            number, dashed = at, at >= len(COLORS)
        else:
            number = depths.index(row.depth)
            dashed = families.index(row.family) == 0 and len(families) > 1
        styles.append({"color": COLORS[number % len(COLORS)], "ls": "--" if dashed else "-"})
    return list(zip(rows, styles, strict=True))
