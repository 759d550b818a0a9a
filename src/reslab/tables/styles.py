"""How a table's rows are drawn, in every picture alike."""

from typing import Any

from reslab.evaluation.palette import COLORS
from reslab.tables.spec import Table


def row_styles(table: Table) -> list[dict[str, Any]]:
    """A line style for each row: of its own color, or of its depth's, dashed for the first family.

    The first family is the plain one, so that solid lines are those with shortcuts.
    """
    if not any(row.depth for row in table.rows):
        return [
            {"color": COLORS[i % len(COLORS)], "ls": "-" if i < len(COLORS) else "--"}
            for i in range(len(table.rows))
        ]
    depths = sorted({row.depth for row in table.rows if row.depth is not None})
    families = list(dict.fromkeys(row.family for row in table.rows))
    return [
        {
            "color": COLORS[depths.index(row.depth or depths[0]) % len(COLORS)],
            "ls": "--" if families.index(row.family) == 0 and len(families) > 1 else "-",
        }
        for row in table.rows
    ]
