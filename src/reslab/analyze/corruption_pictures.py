"""Accuracy of several runs on corrupted images, on one scale, as a figure and on a page."""

import html
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Div, LinearColorMapper, NumeralTickFormatter, UIElement
from bokeh.palettes import Viridis256
from bokeh.plotting import figure as plot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reslab.analysis.corruption import PUBLISHED, SEVERITIES
from reslab.analyze.corruption import DRAWN, Corrupted, Settings
from reslab.analyze.panels import look, named, wrapped
from reslab.analyze.question import Question
from reslab.evaluation.figures import literal, own_style, plain, save_figure
from reslab.evaluation.palette import GRAY
from reslab.reports.layout import FITS, beside

MOST_ABREAST = 3
COLUMNS = (*map(str, SEVERITIES), "mean")
STEPS = ("clean", *COLUMNS[:-1])
GROUPS = "gaussian_noise", "defocus_blur", "snow", "contrast", "shift"  # each one's first kind

# Modas et al. 2022, PRIME: A Few Primitives Can Boost Robustness to Common Corruptions: clean and
# mean over the fifteen kinds of the official CIFAR-10-C.
RESNET18 = {
    "ResNet-18, published, of the official 15 kinds": (0.950, 0.740),
    "ResNet-18 with AugMix, published, likewise": (0.952, 0.886),
}

Mean = tuple[str, float, float, tuple[str, str]]
"""A title, accuracy on clean images and the mean one on corrupted, and the line's `look`."""


@own_style
def draw(found: Sequence[Corrupted], titles: Sequence[str], question: Question, path: Path) -> Path:
    """The accuracy of each kind at each severity, a panel a run, and below all by severity.

    Args:
        found: What was found of each.
        titles: Of each its run's name and test accuracy.
        question: What was asked for.
        path: The file without its ending: PNG and PDF are written.
    """
    settings: Settings = question.settings
    columns = min(len(found), MOST_ABREAST)
    rows = -(-len(found) // columns)
    means = _means(found, titles)
    heights = rows * (0.26 * len(settings.kinds) + 1.0), max(3.0, 0.8 + 0.34 * len(means))
    width = max(3.6 * columns + 2.2, 8)
    figure = Figure(figsize=(width, sum(heights) + 0.6), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)
    above, below = parts.ravel()
    panels = above.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, one, title in zip(panels, found, titles, strict=False):
        table = _table(one)
        image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), share in np.ndenumerate(table):
            color = "black" if share > 0.6 else "white"
            text = axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=8)
            text.set(color=color, in_layout=False)
        axes.set_xticks(range(len(COLUMNS)), COLUMNS, fontsize=8)
        axes.set_yticks(range(len(one.kinds)), _names(settings), fontsize=9)
        axes.tick_params(length=0)
        axes.axvline(len(SEVERITIES) - 0.5, color="white", lw=3)
        for at, kind in enumerate(one.kinds):
            if kind in GROUPS:
                axes.axhline(at - 0.5, color="white", lw=3)
        axes.spines[:].set_visible(False)
        axes.set_title(wrapped(literal(title), 50), loc="left", fontsize=8)
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    above.supxlabel("Severity", fontsize=10)
    bar = above.colorbar(
        image, ax=panels.tolist(), shrink=0.85, aspect=20 * rows, format=PercentFormatter(1)
    )
    bar.set_label("Accuracy")
    left, right = below.subplots(1, 2, width_ratios=(1, 1.1))
    _draw_lines(left, found)
    _draw_means(right, means)
    said = textwrap.fill(literal(_said(found, question)), int(11 * width))
    figure.suptitle(f"Accuracy on corrupted images\n{said}", fontsize=11)
    return save_figure(figure, path)


def _draw_lines(axes: Axes, found: Sequence[Corrupted]) -> None:
    for at, one in enumerate(found):
        shares, (color, dashes) = [one.clean, *one.by_severity], look(at)
        axes.plot(range(len(shares)), shares, color=color, ls=dashes, marker="o", ms=4)
    axes.set_xticks(range(len(STEPS)), STEPS)
    axes.set_xlabel(f"Severity, {found[0].mean_of}")
    axes.set_ylabel("Accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    plain(axes)


def _draw_means(axes: Axes, means: Sequence[Mean]) -> None:
    """What each loses: a line from its mean on corrupted images to its accuracy on clean ones."""
    place = axes.get_yaxis_transform()
    for at, (title, clean, mean, (color, dashes)) in enumerate(means):
        axes.plot([mean, clean], [at, at], color=color, ls=dashes, lw=2, alpha=0.5)
        axes.plot(mean, at, marker="o", color=color)
        axes.plot(clean, at, marker="o", color=color, mfc="white")
        axes.text(
            0.01, at - 0.35, literal(title), transform=place, fontsize=8, color=color, va="center"
        )
    axes.set_yticks([])
    axes.set_ylim(len(means) - 0.5, -0.75)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("Accuracy: clean (open), mean of the corrupted (filled)")
    plain(axes)


def show(found: Sequence[Corrupted], titles: Sequence[str], question: Question) -> list[UIElement]:
    """The same for a page, which says the accuracy under the pointer."""
    mapper = LinearColorMapper(palette=Viridis256, low=0, high=1)
    names = _names(question.settings)
    planes = []
    for one, title in zip(found, titles, strict=True):
        table = _table(one)
        cells = [(name, column) for name in names for column in COLUMNS]
        source = ColumnDataSource(
            {
                "kind": [name for name, _ in cells],
                "column": [column for _, column in cells],
                "share": table.ravel(),
                "text": [f"{100 * share:.0f}" for share in table.ravel()],
                "ink": ["black" if share > 0.6 else "white" for share in table.ravel()],
            }
        )
        drawn = plot(
            height=90 + 24 * len(names),
            **FITS,
            title=named(title),
            x_range=list(COLUMNS),
            y_range=names[::-1],
            tools="hover,save",
            tooltips=[("kind", "@kind"), ("severity", "@column"), ("accuracy", "@share{0.00%}")],
        )
        fill = {"field": "share", "transform": mapper}
        drawn.rect("column", "kind", 1, 1, source=source, fill_color=fill, line_color=None)
        look = {"text_align": "center", "text_baseline": "middle", "text_font_size": "11px"}
        drawn.text("column", "kind", "text", source=source, text_color="ink", **look)
        drawn.grid.visible = False
        planes.append(drawn)
    title = f"<h1>Accuracy on corrupted images</h1><p>{html.escape(_said(found, question))}</p>"
    return [Div(text=title), beside(*planes), _lines(found, titles), _list(found, titles)]


def _lines(found: Sequence[Corrupted], titles: Sequence[str]) -> Any:
    drawn = plot(
        height=330 + 22 * len(found),
        sizing_mode="stretch_width",
        x_axis_label=f"Severity, {found[0].mean_of}",
        y_axis_label="Accuracy",
        x_range=list(STEPS),
        tools="hover,save",
        tooltips=[("run", "$name"), ("severity", "@x"), ("accuracy", "@y{0.00%}")],
    )
    for at, (one, title) in enumerate(zip(found, titles, strict=True)):
        source = ColumnDataSource({"x": list(STEPS), "y": [one.clean, *one.by_severity]})
        color, dashes = look(at)
        more = {"color": color, "name": title, "legend_label": title}
        drawn.line("x", "y", source=source, line_width=2, line_dash=dashes, **more)
        drawn.scatter("x", "y", source=source, size=6, **more)
    drawn.yaxis.formatter = NumeralTickFormatter(format="0%")
    drawn.legend.update(location="left", glyph_width=40)
    drawn.add_layout(drawn.legend[0], "below")
    return drawn


def _list(found: Sequence[Corrupted], titles: Sequence[str]) -> Div:
    """The means, and what is published beside them."""
    rows = "".join(
        f"<tr><td>{html.escape(title)}</td><td>{clean:.2%}</td><td>{mean:.2%}</td></tr>"
        for title, clean, mean, _ in _means(found, titles)
    )
    head = "<tr><th></th><th>clean</th><th>corrupted, mean</th></tr>"
    return Div(text=f"<table style='border-spacing: 1rem 0.2rem'>{head}{rows}</table>")


def _means(found: Sequence[Corrupted], titles: Sequence[str]) -> list[Mean]:
    """Of each, and of what is published where it can be compared."""
    means = [
        (title, one.clean, one.mean, look(at))
        for at, (one, title) in enumerate(zip(found, titles, strict=True))
    ]
    if any(one.is_benchmark for one in found):
        means += [(title, *shares, (GRAY, "solid")) for title, shares in RESNET18.items()]
    return means


def _table(one: Corrupted) -> np.ndarray:
    """Of each kind the accuracy at each severity, and their mean: `[K, 6]`."""
    return np.column_stack([one.shares, one.shares.mean(1)])


def _names(settings: Settings) -> list[str]:
    return [
        kind.replace("_", " ") + (" (drawn)" if kind == DRAWN and not settings.official else "")
        for kind in settings.kinds
    ]


def _said(found: Sequence[Corrupted], question: Question) -> str:
    numbers = " or ".join(f"{number:,}" for number in sorted({one.images for one in found}))
    said, settings = f"{numbers} test images", question.settings
    if PUBLISHED.keys() & set(settings.kinds):
        origin = "the official" if settings.official else "regenerated at the severities of"
        said += f", {origin} CIFAR-10-C"
    return "; ".join(filter(None, (said, question.words)))
