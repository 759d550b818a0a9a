"""Watching runs: their curves over one another, gradients layer by layer, the end of the log."""

import asyncio
import csv
import io
from dataclasses import dataclass
from typing import Any

from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    PrintfTickFormatter,
)
from bokeh.palettes import Viridis256

from reslab.reports.cells import safe
from reslab.studio.curves import PARTS, gradients, stamp, tail
from reslab.studio.drawn import Drawn
from reslab.studio.figures import as_item, palette, plot
from reslab.studio.security import Handler, RequestError
from reslab.studio.series import BANDS, DOTS, LINES, Choice, series

SIDES = {"epoch": "Epoch", "minutes": "Minutes of training"}
# Of each figure its title, and what dashed and solid lines are if it may have both.
TITLES = (
    ("batches", "Loss within the epoch", "", ""),
    ("loss", "Loss", "training", "validation"),
    ("accuracy", "Accuracy", "training", "validation"),
    ("lr", "Learning rate", "", ""),
    ("throughput", "Throughput", "", ""),
    ("gradients", "Gradients", "on a skip", "on the main path"),
)
# The page saves, with what the colors mean.
SHAPE = {"height": 300, "tools": "box_zoom,pan,wheel_zoom,reset", "active_drag": "box_zoom"}
LINE = {"xs": "xs", "ys": "ys", "line_cap": "round", "line_join": "round"}


@dataclass(frozen=True)
class Axis:
    """A figure's vertical axis.

    Attributes:
        name: Its name with its unit.
        may_be_log: Whether it may be logarithmic.
        large: Whether its numbers are so large that their thousands are separated.
    """

    name: str
    may_be_log: bool = False
    large: bool = False


AXES = {
    "loss": Axis("Loss", may_be_log=True),
    "accuracy": Axis("Accuracy, %"),
    "lr": Axis("Learning rate", may_be_log=True),
    "throughput": Axis("Images per second", large=True),
    "batches": Axis("Loss of a batch", may_be_log=True),
}


def curves_figure(of: str, below: str, *, log: bool) -> Any:
    """Lines, one a run and part or one for all seeds, on the range over the seeds.

    Args:
        of: A key of `AXES`.
        below: A key of `SIDES`.
        log: Whether the vertical axis is logarithmic, if it may be.
    """
    axis = AXES[of]
    scale = "log" if log and axis.may_be_log else "linear"
    drawn = plot(of, "", SIDES[below], axis.name, scale, **SHAPE)
    if of != "batches" and below == "epoch":
        drawn.xaxis.ticker.min_interval = 1
    if of == "lr":
        drawn.y_range.default_span = 0.001  # around one that stays as it is
    if of == "lr" and scale == "linear":
        drawn.yaxis.formatter = PrintfTickFormatter(format="%.3g")
    if axis.large:
        drawn.yaxis.formatter = NumeralTickFormatter(format="0,0")
    form, formatter = ("0,0", "numeral") if axis.large else ("%.4g", "printf")
    bands = ColumnDataSource({key: [] for key in BANDS}, name="bands")
    lines = ColumnDataSource({key: [] for key in LINES}, name="lines")
    dots = ColumnDataSource({key: [] for key in DOTS}, name="dots")
    drawn.patches("xs", "ys", source=bands, color="color", fill_alpha=0.18, line_alpha=0)
    drawn.multi_line(
        **LINE,
        source=lines,
        line_color="color",
        line_alpha="alpha",
        line_width="width",
        line_dash="dash",
    )
    what = [("", "@name"), (SIDES[below], "$snap_x{0.[00]}"), (axis.name, f"$snap_y{{{form}}}")]
    drawn.add_tools(_hover(drawn, lines, what, formatter))
    at = drawn.scatter("x", "y", source=dots, color="color", alpha="alpha", size=7)
    what = [("", "@name"), (SIDES[below], "@x{0.[00]}"), (axis.name, f"@y{{{form}}}")]
    drawn.add_tools(HoverTool(renderers=[at], tooltips=what, formatters={"@y": formatter}))
    return drawn


def gradients_figure(theme: str) -> Any:
    """A line a layer, those of a skip dashed; beside them the colors from the first to the last."""
    below, beside = "Epoch (0: the first batch)", "L2 norm of the gradient"
    drawn = plot("gradients", "", below, beside, "log", **SHAPE)
    drawn.xaxis.ticker.min_interval = 1
    lines = ColumnDataSource({key: [] for key in ("xs", "ys", "name", "depth", "dash")})
    lines.name = "lines"
    seen = Viridis256[70:] if theme == "dark" else Viridis256[:225]
    mapper = LinearColorMapper(seen, low=0, high=1)
    color = {"field": "depth", "transform": mapper}
    ends = {0: "first layer", 1: "last layer"}
    bar = ColorBar(color_mapper=mapper, ticker=FixedTicker(ticks=list(ends)), width=8)
    bar.major_label_overrides = ends
    drawn.add_layout(bar, "right")
    drawn.multi_line(**LINE, source=lines, line_color=color, line_width=1.5, line_dash="dash")
    what = [("", "@name"), ("Epoch", "$snap_x{0}"), ("Norm", "$snap_y{%.4g}")]
    drawn.add_tools(_hover(drawn, lines, what, "printf"))
    return drawn


def _hover(
    drawn: Any, lines: ColumnDataSource, what: list[tuple[str, str]], formatter: str
) -> HoverTool:
    """Says what the lines near the pointer are, for which nobody has to hit a line exactly."""
    near = drawn.multi_line("xs", "ys", source=lines, line_color=None, line_width=12)
    return HoverTool(
        renderers=[near],
        tooltips=what,
        formatters={"$snap_y": formatter},
        line_policy="nearest",
        limit=3,
    )


class Watch(Drawn):
    """The view before its figures: what can be chosen, and what to do if nothing is."""

    template = "watch.html"

    async def get(self) -> None:
        lines = (await asyncio.to_thread(self.scan.changes))["lines"]
        running = [one["name"] for one in lines if one["state"] == "running" and "runs" not in one]
        runs = list(dict.fromkeys(self.get_query_arguments("run", strip=False)))
        there = bool(lines)
        self.answer({"runs": runs, "running": running, "there": there, "figures": TITLES})


class Watched(Handler):
    """What asks for lines: `run` several times, and what is to be seen of them."""

    async def lines(self, cursor: str = "") -> dict[str, Any]:
        """What is new of them."""
        x, part = self.get_query_argument("x", "epoch"), self.get_query_argument("part", "")
        try:
            weight = float(self.get_query_argument("smooth", "0"))
        except ValueError:
            weight = -1.0
        if x not in SIDES or part not in ("", *PARTS) or not 0 <= weight < 1:
            raise RequestError(400, "x is epoch or minutes, part train or val, smooth from 0 to 1")
        colors = palette(self.get_query_argument("theme", "light"))
        fold = not self.get_query_argument("each", "")
        names = list(dict.fromkeys(self.get_query_arguments("run", strip=False)))
        choice = Choice(x, part, weight, fold, colors)
        return await asyncio.to_thread(series, self.scan, names, choice, cursor)


class Curves(Watched):
    """What is new of the selected runs' lines since an answer's `cursor`."""

    async def get(self) -> None:
        self.answer(await self.lines(self.get_query_argument("since", "")))


class Numbers(Watched):
    """A figure's numbers as CSV, a row a point."""

    async def get(self) -> None:
        of, x = self.get_query_argument("of"), self.get_query_argument("x", "epoch")
        if of == "gradients":
            name = self.get_query_argument("of_run", strip=False)
            run = await asyncio.to_thread(self.scan.find, name)
            sources = [await asyncio.to_thread(gradients, run) or {}]
        elif of in AXES:
            hidden = self.get_query_arguments("hide", strip=False)
            answer = await self.lines()
            found = [one for one in answer["series"] if one["key"] not in hidden]
            sources = [one["figures"][of]["lines"] for one in found]
        else:
            raise RequestError(404, f"the studio has no figure of {of}")
        beside = AXES[of].name if of in AXES else "L2 norm of the gradient"
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["Line", SIDES[x] if of in AXES else "Epoch", beside])
        for source in sources:
            for name, xs, ys in zip(
                *(source.get(key, []) for key in ("name", "xs", "ys")), strict=True
            ):
                table.writerows((safe(name), x, y) for x, y in zip(xs, ys, strict=True))
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{of}.csv"')
        self.finish(text.getvalue())


class Figure(Handler):
    """A figure without its numbers."""

    def get(self) -> None:
        of, below = self.get_query_argument("of"), self.get_query_argument("x", "epoch")
        if of not in (*AXES, "gradients") or below not in SIDES:
            raise RequestError(404, f"the studio has no figure of {of} over {below}")
        theme = self.get_query_argument("theme", "light")
        if of == "gradients":
            drawn = gradients_figure(theme)
        else:
            below = "epoch" if of == "batches" else below  # which are of one
            drawn = curves_figure(of, below, log=bool(self.get_query_argument("log", "")))
        self.answer(as_item(drawn))


class Details(Handler):
    """One run's gradients and the end of its log, if they are new since an answer's `cursor`."""

    async def get(self) -> None:
        name = self.get_query_argument("run", strip=False)
        run = await asyncio.to_thread(self.scan.find, name)
        before, _, log_before = self.get_query_argument("since", "").partition(".")
        live = run.state() == "running"
        now, log_now = stamp(run.gradients_file), stamp(run.log_file, about=live)
        answer: dict[str, Any] = {"run": run.name, "cursor": f"{now}.{log_now}"}
        if now != before:
            answer["gradients"] = await asyncio.to_thread(gradients, run)
        if log_now != log_before:
            nothing = "Nothing yet." if live else "This run kept no log."
            answer["log"] = await asyncio.to_thread(tail, run.log_file) or nothing
        self.answer(answer)


HANDLERS = [
    ("watch", Watch),
    ("watch/curves", Curves),
    ("watch/numbers", Numbers),
    ("watch/figure", Figure),
    ("watch/details", Details),
]
