"""Pictures of how good predictions are."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from reslab.evaluation import frames
from reslab.evaluation.calibration import expected_calibration_error
from reslab.evaluation.palette import COLORS
from reslab.evaluation.predictions import Predictions
from reslab.files import write_atomically

MOST_IN_ONE_PANEL = 4  # models whose reliability is told apart
MOST_ABREAST = 5  # panels

# What draws a figure and saves it does so with this, whatever a user's own matplotlibrc says.
own_style = matplotlib.rc_context(
    {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
)


@own_style
def draw_confusion(predictions: Predictions, title: str, path: Path) -> Path:
    """The confusion matrix: counts, colored by the share of the truth's row."""
    matrix, shares = frames.confusion(predictions)
    names = [literal(name) for name in predictions.class_names]
    side = max(5.0, 0.55 * min(len(names), frames.MOST_CLASSES_WITH_NUMBERS) + 1.5)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= frames.MOST_CLASSES_WITH_NUMBERS:
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                text = f"{count:,}"
                cell = axes.text(column, row, text, ha="center", va="center", color=color, size=8)
                cell.set_in_layout(False)  # it lies inside: a layout of a hundred texts takes long
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=9)
        axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xlabel("Predicted")
    axes.set_ylabel("Truth")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1))
    bar.set_label("Share of the truth's images")
    figure.suptitle(literal(title))
    return save_figure(figure, path)


@own_style
def draw_per_class(metrics: dict[str, Any], title: str, path: Path) -> Path:
    """Precision, recall and F1 of every class, as `metrics.summarize` gives them."""
    rows = frames.per_class(metrics["per_class"])
    figure = Figure(figsize=(max(7.0, 0.5 * len(rows) + 3), 4.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, (key, (color, label)) in enumerate(frames.PER_CLASS.items(), start=-1):
        axes.bar(places + 0.27 * offset, rows[key], 0.25, color=color, label=label)
    axes.set_ylim(0, 1)
    labels = [
        f"{literal(name)}\n{support:,}"
        for name, support in zip(rows["class"], rows["support"], strict=True)
    ]
    axes.set_xticks(places, labels, fontsize=9)
    axes.set_xlabel("Class, and its number of images")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    plain(axes)
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    figure.suptitle(literal(title), x=0.02, ha="left")
    return save_figure(figure, path)


@own_style
def draw_confidence(
    confidence: np.ndarray, right: np.ndarray | None, threshold: float, title: str, path: Path
) -> Path:
    """How sure the answers are, and what a threshold leaves of them.

    Args:
        confidence: Of each answer, `[N]`.
        right: Whether each is right, bool `[N]`, if that is known.
        threshold: Where the line stands.
        title: The figure's.
        path: The file.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, curve = figure.subplots(1, 2)
    for name, bars in frames.histogram(confidence, right).items():
        edges = [*bars["left"], bars["right"].iloc[-1]]
        color = frames.BARS[name]
        left.stairs(bars["top"], edges, baseline=bars["bottom"], fill=True, color=color, label=name)
    if right is not None:
        left.legend(frameon=False, loc="upper left")
    left.set_yscale("log")
    left.set_ylim(bottom=0.5)
    left.set_title("Images by confidence", loc="left", fontsize=11)
    left.set_xlabel("Confidence")
    rows = frames.threshold_curves(confidence, right)
    for key, (color, label) in frames.CURVES.items():
        if key not in rows:
            continue
        curve.plot(rows["threshold"], rows[key], color=color, label=label)
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    curve.set_title("What a threshold leaves", loc="left", fontsize=11)
    curve.set_xlabel("Threshold")
    curve.legend(frameon=False, loc="lower left")
    for axes in (left, curve):
        axes.axvline(threshold, color="black", ls=":", lw=1)
        plain(axes)
    figure.suptitle(literal(title))
    return save_figure(figure, path)


@own_style
def draw_reliability(
    models: dict[str, Predictions],
    title: str,
    path: Path,
    styles: Sequence[Mapping[str, Any]] = tuple({"color": color} for color in COLORS),
) -> Path:
    """Accuracy over confidence; the diagonal is a calibrated model's.

    Few models are lines in one panel; of many each has a panel of its own, on the same axes.

    Args:
        models: A model's name to what it says.
        title: The figure's.
        path: The file.
        styles: Each model's color and dashes, as matplotlib names them; begun anew at their end.
    """
    drawn = list(zip(models.items(), cycle(styles), strict=False))
    if len(drawn) <= MOST_IN_ONE_PANEL:
        figure = Figure(figsize=(5.5, 5.5), layout="constrained")
        axes = figure.subplots()
        for (name, predictions), style in drawn:
            _draw_bins(axes, predictions, style, f"{literal(name)} ({_ece(predictions)})")
        _lay_out_shares(axes)
        axes.set_xlabel("Confidence")
        axes.set_ylabel("Accuracy")
        axes.legend(frameon=False, loc="upper left", fontsize=9)
    else:
        rows = -(-len(drawn) // MOST_ABREAST)
        columns = -(-len(drawn) // rows)
        size = (2.6 * columns + 0.4, 2.75 * rows + 0.8)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, ((name, predictions), style) in zip(panels, drawn, strict=False):
            _draw_bins(axes, predictions, style, literal(name))
            _lay_out_shares(axes)
            axes.set_title(textwrap.fill(literal(name), 28), loc="left", fontsize=10)
            axes.text(0.04, 0.96, _ece(predictions), transform=axes.transAxes, va="top", size=9)
        for axes in panels[len(drawn) :]:
            axes.set_axis_off()
        for axes in panels[: len(drawn)]:
            axes.tick_params(labelsize=8)
        for axes in panels[: len(drawn)][-columns:]:  # above an empty place, too
            axes.tick_params(labelbottom=True)
        figure.supxlabel("Confidence", fontsize=10)
        figure.supylabel("Accuracy", fontsize=10)
    figure.suptitle(literal(title))
    return save_figure(figure, path)


def _ece(predictions: Predictions) -> str:
    return f"ECE {expected_calibration_error(predictions):.3f}"


def _draw_bins(axes: Axes, predictions: Predictions, style: Mapping[str, Any], label: str) -> None:
    """A model's line through its bins; the larger a dot, the more answers are in it."""
    bins = frames.reliability_bins(predictions)
    places = bins["confidence"], bins["accuracy"]
    axes.plot(*places, **style, lw=1.2, label=label)
    sizes = 10 + 110 * (bins["count"] / bins["count"].max()) ** 0.5
    axes.scatter(*places, s=sizes, color=style["color"], alpha=0.6, lw=0)


def _lay_out_shares(axes: Axes) -> None:
    """Both axes from 0 to 100 %, and the diagonal below what is drawn."""
    axes.plot([0, 1], [0, 1], color="black", ls=":", lw=1, zorder=1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.01)
    plain(axes)


def literal(text: str) -> str:
    """A name as it is: matplotlib would read what stands between two dollars as a formula."""
    return text.replace("$", r"\$")


def plain(axes: Axes) -> None:
    """A faint grid behind the drawing, no frame above and at the right."""
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Writes a figure in the format that its name ends in, or without an ending as PNG and PDF."""
    for suffix in [path.suffix] if path.suffix else [".png", ".pdf"]:
        buffer = io.BytesIO()
        undated = {"CreationDate": None} if suffix.lower() == ".pdf" else {}
        figure.savefig(buffer, dpi=dpi, format=suffix[1:].lower(), metadata=undated)
        write_atomically(path.with_suffix(suffix), buffer.getbuffer())
        figure.set_layout_engine(None)  # it is laid out: the next format is to look the same
    return path
