"""How matplotlib draws a table's lines."""

from matplotlib.axes import Axes

from reslab.tables.frames import Series


def draw_series(axes: Axes, series: list[Series]) -> None:
    """A line is the mean over seeds, a band their range."""
    for one in series:
        x, values = one.frame["x"], one.frame
        axes.plot(x, values["mean"], **one.style, label=one.row.name, lw=1.5, marker=".", ms=4)
        color = one.style["color"]
        axes.fill_between(x, values["min"], values["max"], color=color, alpha=0.15, lw=0)
