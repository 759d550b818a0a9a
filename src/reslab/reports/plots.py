"""The dashboard's plots."""

from typing import Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    Div,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    RadioButtonGroup,
    Select,
    Slider,
    Span,
    UIElement,
)
from bokeh.palettes import Blues256
from bokeh.plotting import figure
from bokeh.transform import dodge

from reslab.evaluation.metrics import (
    Predictions,
    by_threshold,
    confusion_matrix,
    expected_calibration_error,
    is_sure,
    reliability,
    summarize,
)
from reslab.evaluation.palette import BLUE, GREEN, ORANGE, PURPLE

TOOLS = "save"
FONT = {"font-family": "sans-serif"}


def confusion(predictions: Predictions, filters: dict[str, Select]) -> UIElement:
    """Click a cell, and the table shows its pictures."""
    matrix, names = confusion_matrix(predictions), list(predictions.class_names)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    at = list(np.ndindex(matrix.shape))
    few = len(names) <= 20
    texts = {
        "counts": [f"{matrix[i]:,}" if matrix[i] and few else "" for i in at],
        "shares": [f"{shares[i]:.1%}" if matrix[i] and few else "" for i in at],
    }
    source = ColumnDataSource(
        {
            "truth": [names[i] for i, _ in at],
            "predicted": [names[j] for _, j in at],
            "count": [int(matrix[i]) for i in at],
            "share": [float(shares[i]) for i in at],
            "value": [int(matrix[i]) for i in at],
            "color": ["white" if matrix[i] > matrix.max() / 2 else "black" for i in at],
            "text": texts["counts"],
            **texts,
        },
        name="confusion",
    )
    plot = figure(
        width=620,
        height=560,
        x_range=names,
        y_range=names[::-1],
        title="Confusion matrix: click a cell to see its pictures",
        x_axis_label="Predicted",
        y_axis_label="Truth",
        tools=f"hover,{TOOLS}",
        tooltips=[
            ("truth", "@truth"),
            ("predicted", "@predicted"),
            ("pictures", "@count (@share{0.0%} of the truth's)"),
        ],
        name="confusion plot",
    )
    mapper = LinearColorMapper(palette=Blues256[::-1], low=0, high=int(matrix.max()))
    fill = {"field": "value", "transform": mapper}
    cells = plot.rect(
        "predicted", "truth", 1, 1, source=source, fill_color=fill, line_color="white"
    )
    plot.select_one(HoverTool).renderers = [cells]
    plot.text(
        "predicted",
        "truth",
        "text",
        source=source,
        text_color="color",
        text_align="center",
        text_baseline="middle",
        text_font_size="9pt",
    )
    plot.xaxis.major_label_orientation = 0.8
    plot.grid.visible = False
    form = NumeralTickFormatter(format="0,0")
    plot.add_layout(ColorBar(color_mapper=mapper, ticker=BasicTicker(), formatter=form), "right")
    plot.js_on_event(
        "tap",
        CustomJS(
            args={"columns": plot.x_range, "rows": plot.y_range, **filters},
            code="""
            const {x, y} = cb_obj  // a cell has its factor's number, and the half after it
            truth.value = rows.factors[Math.floor(y)] ?? "(all)"
            predicted.value = columns.factors[Math.floor(x)] ?? "(all)"
            verdict.value = "(all)"
            """,
        ),
    )
    kinds = RadioButtonGroup(labels=["counts", "shares"], active=0, name="confusion kind")
    kinds.js_on_change(
        "active",
        CustomJS(
            args={"source": source, "kinds": kinds, "mapper": mapper, "form": form},
            code="""
            const shares = kinds.active == 1
            source.data.text = source.data[kinds.labels[kinds.active]]
            source.data.value = shares ? source.data.share : source.data.count
            const high = mapper.high = shares ? 1 : Math.max(...source.data.count)
            source.data.color = [...source.data.value].map((v) => v > high / 2 ? "white" : "black")
            form.format = shares ? "0%" : "0,0"
            source.change.emit()
            """,
        ),
    )
    return column(kinds, plot)


def per_class(predictions: Predictions, threshold: float) -> UIElement:
    rows = summarize(predictions, threshold)["per_class"]
    source = ColumnDataSource({key: [one[key] for one in rows] for key in rows[0]})
    plot = figure(
        width=700,
        height=560,
        x_range=[one["class"] for one in rows],
        y_range=(0, 1),
        title="Per class",
        tools=f"hover,{TOOLS}",
        tooltips=[
            ("class", "@class"),
            ("precision", "@precision{0.0%}"),
            ("recall", "@recall{0.0%}"),
            ("F1", "@f1{0.0%}"),
            ("pictures", "@support"),
        ],
    )
    bars = (("precision", BLUE), ("recall", ORANGE), ("f1", GREEN))
    for offset, (key, color) in enumerate(bars, start=-1):
        place = dodge("class", 0.27 * offset, range=plot.x_range)
        plot.vbar(place, 0.24, key, color=color, source=source, legend_label=key.capitalize())
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
    rows = by_threshold(confidence, right)
    gap = float("nan")  # where nothing is answered
    table = ColumnDataSource(
        {key: [gap if one[key] is None else one[key] for one in rows] for key in rows[0]}
    )
    slider = Slider(start=0, end=1, step=0.01, value=threshold, title="Threshold", name="threshold")
    sure = is_sure(confidence, threshold)
    whose = " of the labelled pictures" if of_labelled else ""
    at = f"{threshold:.2f}" if threshold == round(threshold, 2) else f"{threshold:g}"
    text = f"At {at}, {sure.mean():.1%}{whose} are answered"
    if right is not None and sure.any():
        text += f", of which {right[sure].mean():.2%} are right"
    said = Div(text=text, styles=FONT, name="threshold effect")
    parts = {"pictures": confidence}
    if right is not None:
        parts = {"right": confidence[right], "wrong": confidence[~right]}
    counts, curve = histogram(parts), _coverage_curve(table, right is not None)
    if of_labelled:
        counts.title.text = "Labelled pictures by confidence"
        curve.title.text = "What a threshold leaves of the labelled pictures"
    lines = [Span(location=threshold, dimension="height", line_dash="dotted") for _ in range(2)]
    counts.add_layout(lines[0])
    curve.add_layout(lines[1])
    effect = CustomJS(
        args={"slider": slider, "said": said, "lines": lines, "table": table, "whose": whose},
        code="""
        const at = Math.round(slider.value * (table.data.threshold.length - 1))
        const percent = (x, digits) => (100 * x).toFixed(digits) + "%"
        const accuracy = table.data.accuracy[at]
        const right = Number.isNaN(accuracy) ? "" :
            `, of which ${percent(accuracy, 2)} are right`
        said.text = `At ${slider.value.toFixed(2)}, ` +
            `${percent(table.data.coverage[at], 1)}${whose} are answered${right}`
        for (const line of lines) line.location = slider.value
        """,
    )
    slider.js_on_change("value", effect)
    return row(slider, said), counts, curve


def _coverage_curve(table: ColumnDataSource, labelled: bool) -> Any:
    tooltips = [("threshold", "@threshold{0.00}"), ("answered", "@coverage{0.0%}")]
    if labelled:
        tooltips.append(("accuracy", "@accuracy{0.00%}"))
    curve = figure(
        width=430,
        height=340,
        title="What a threshold leaves",
        x_range=(0, 1),
        x_axis_label="Threshold",
        tools=f"hover,{TOOLS}",
        tooltips=tooltips,
    )
    lines = [("coverage", GREEN, "answered"), ("accuracy", BLUE, "accuracy")]
    for key, color, name in lines if labelled else lines[:1]:
        curve.line("threshold", key, source=table, color=color, legend_label=name, line_width=2)
    _legend_above(curve)
    curve.yaxis.formatter = NumeralTickFormatter(format="0%")
    return curve


def reliability_diagram(predictions: Predictions) -> UIElement:
    bins = reliability(predictions)
    source = ColumnDataSource(
        {
            "confidence": [one.confidence for one in bins],
            "accuracy": [one.accuracy for one in bins],
            "count": [one.count for one in bins],
            "middle": [(one.low + one.high) / 2 for one in bins],
            "width": [one.high - one.low for one in bins],
        }
    )
    plot = figure(
        width=430,
        height=340,
        x_range=(0, 1),
        y_range=(0, 1),
        title=f"Reliability (ECE {expected_calibration_error(predictions):.4f})",
        x_axis_label="Confidence",
        y_axis_label="Accuracy",
        tools=f"hover,{TOOLS}",
        tooltips=[
            ("confidence", "@confidence{0.0%}"),
            ("accuracy", "@accuracy{0.0%}"),
            ("pictures", "@count"),
        ],
    )
    plot.vbar(
        "middle", "width", "accuracy", source=source, color=BLUE, alpha=0.5, line_color="white"
    )
    plot.scatter("confidence", "accuracy", source=source, color=ORANGE, size=7)
    plot.line([0, 1], [0, 1], color="black", line_dash="dotted")
    return plot


def histogram(parts: dict[str, np.ndarray]) -> Any:
    edges = np.linspace(0, 1, 41)
    plot = figure(
        width=430,
        height=340,
        x_range=(0, 1),
        title="Pictures by confidence",
        x_axis_label="Confidence",
        tools=f"hover,{TOOLS}",
        tooltips=[("pictures", "@count"), ("confidence", "@left{0.000} to @right{0.000}")],
    )
    bottom = np.zeros(len(edges) - 1)
    for (name, values), color in zip(parts.items(), (BLUE, ORANGE, PURPLE), strict=False):
        counts, _ = np.histogram(values, edges)
        places = {"left": edges[:-1], "right": edges[1:], "bottom": bottom, "top": bottom + counts}
        source = ColumnDataSource(places | {"count": counts})
        plot.quad("left", "right", "top", "bottom", source=source, color=color, legend_label=name)
        bottom = bottom + counts
    _legend_above(plot)
    return plot


def _legend_above(plot: Any) -> None:
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
    plot.legend.border_line_color = None
