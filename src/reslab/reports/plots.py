"""The dashboard's plots."""

from typing import Any

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    Div,
    NumeralTickFormatter,
    Slider,
    Span,
    UIElement,
)
from bokeh.plotting import figure
from bokeh.transform import dodge

from reslab.evaluation import frames, metrics
from reslab.evaluation.calibration import expected_calibration_error
from reslab.evaluation.palette import GRAY
from reslab.evaluation.predictions import Predictions, is_sure
from reslab.reports.layout import FITS, beside


def per_class(predictions: Predictions) -> UIElement:
    rows = frames.per_class(metrics.per_class(predictions))
    source = ColumnDataSource(rows.to_dict("list"))
    plot = figure(
        height=560,
        **FITS,
        x_range=list(rows["class"]),
        y_range=(0, 1),
        title="Per class",
        tools="hover,save",
        tooltips=[
            ("class", "@class"),
            ("precision", "@precision{0.0%}"),
            ("recall", "@recall{0.0%}"),
            ("F1", "@f1{0.0%}"),
            ("pictures", "@support"),
        ],
    )
    for offset, (key, (color, label)) in enumerate(frames.PER_CLASS.items(), start=-1):
        place = dodge("class", 0.27 * offset, range=plot.x_range)
        plot.vbar(place, 0.24, key, color=color, source=source, legend_label=label)
    _legend_above(plot)
    plot.xaxis.major_label_orientation = 0.8
    plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    return plot


def threshold_effect(
    confidence: np.ndarray, right: np.ndarray | None, threshold: float, of_labelled: bool = False
) -> tuple[UIElement, UIElement, UIElement]:
    """A slider that moves the line in two plots and says what the threshold leaves.

    Args:
        confidence: Of each answer, `[N]`.
        right: Whether each is right, bool `[N]`, if that is known.
        threshold: Where the slider stands at first.
        of_labelled: Whether there are further answers whose pictures have no label.
    """
    rows = frames.threshold_curves(confidence, right)
    table = ColumnDataSource(rows.to_dict("list"))
    slider = Slider(start=0, end=1, step=0.01, value=threshold, title="Threshold", name="threshold")
    sure = is_sure(confidence, threshold)
    whose = " of the labeled pictures" if of_labelled else ""
    at = f"{threshold:.2f}" if threshold == round(threshold, 2) else f"{threshold:g}"
    text = f"At {at}, {sure.mean():.1%}{whose} are answered"
    if right is not None and sure.any():
        text += f", of which {right[sure].mean():.2%} are right"
    said = Div(text=text, name="threshold effect")
    counts, curve = histogram(confidence, right), _coverage_curve(table)
    if of_labelled:
        counts.title.text = "Labeled pictures by confidence"
        curve.title.text = "What a threshold leaves of the labeled pictures"
    lines = [Span(location=threshold, dimension="height", line_dash="dotted") for _ in range(2)]
    counts.add_layout(lines[0])
    curve.add_layout(lines[1])
    effect = CustomJS(
        args={"slider": slider, "said": said, "lines": lines, "table": table, "whose": whose},
        code="""
        const at = Math.round(slider.value * (table.data.threshold.length - 1))
        const percent = (x, digits) => (100 * x).toFixed(digits) + "%"
        const accuracy = table.data.accuracy?.[at] ?? NaN
        const right = Number.isNaN(accuracy) ? "" :
            `, of which ${percent(accuracy, 2)} are right`
        said.text = `At ${slider.value.toFixed(2)}, ` +
            `${percent(table.data.coverage[at], 1)}${whose} are answered${right}`
        for (const line of lines) line.location = slider.value
        """,
    )
    slider.js_on_change("value", effect)
    return beside(slider, said), counts, curve


def _coverage_curve(table: ColumnDataSource) -> Any:
    tooltips = [("threshold", "@threshold{0.00}"), ("answered", "@coverage{0.0%}")]
    if "accuracy" in table.data:
        tooltips.append(("accuracy", "@accuracy{0.00%}"))
    curve = figure(
        height=340,
        **FITS,
        title="What a threshold leaves",
        x_range=(0, 1),
        x_axis_label="Threshold",
        tools="hover,save",
        tooltips=tooltips,
    )
    for key, (color, label) in frames.CURVES.items():
        if key not in table.data:
            continue
        curve.line("threshold", key, source=table, color=color, legend_label=label, line_width=2)
    _legend_above(curve)
    curve.yaxis.formatter = NumeralTickFormatter(format="0%")
    return curve


def reliability_diagram(predictions: Predictions) -> UIElement:
    bins = frames.reliability_bins(predictions)
    middle, width = (bins["low"] + bins["high"]) / 2, bins["high"] - bins["low"]
    source = ColumnDataSource(bins.assign(middle=middle, width=width).to_dict("list"))
    plot = figure(
        height=340,
        **FITS,
        x_range=(0, 1),
        y_range=(0, 1),
        title=f"Reliability (ECE {expected_calibration_error(predictions):.4f})",
        x_axis_label="Confidence",
        y_axis_label="Accuracy",
        tools="hover,save",
        tooltips=[
            ("confidence", "@confidence{0.0%}"),
            ("accuracy", "@accuracy{0.0%}"),
            ("pictures", "@count"),
        ],
    )
    color = frames.RELIABILITY
    plot.vbar(
        "middle", "width", "accuracy", source=source, color=color, alpha=0.4, line_color="white"
    )
    plot.scatter("confidence", "accuracy", source=source, color=color, size=7)
    plot.line([0, 1], [0, 1], color=GRAY, line_dash="dotted")
    return plot


def histogram(confidence: np.ndarray, right: np.ndarray | None) -> Any:
    plot = figure(
        height=340,
        **FITS,
        x_range=(0, 1),
        title="Pictures by confidence",
        x_axis_label="Confidence",
        tools="hover,save",
        tooltips=[("pictures", "@count"), ("confidence", "@left{0.000} to @right{0.000}")],
    )
    for name, bars in frames.histogram(confidence, right).items():
        source = ColumnDataSource(bars.to_dict("list"))
        color = frames.BARS[name]
        plot.quad("left", "right", "top", "bottom", source=source, color=color, legend_label=name)
    _legend_above(plot)
    return plot


def _legend_above(plot: Any) -> None:
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
