"""The dashboard's confusion matrix: a way to pictures, beside its numbers."""

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    RadioButtonGroup,
    Select,
    UIElement,
)
from bokeh.palettes import Blues256
from bokeh.plotting import figure

from reslab.evaluation import frames
from reslab.evaluation.predictions import Predictions
from reslab.reports.layout import FITS, below


def confusion(predictions: Predictions, filters: dict[str, Select]) -> UIElement:
    """Click a cell, and the table shows its pictures."""
    names = list(predictions.class_names)
    matrix, shares = frames.confusion(predictions)
    at = list(np.ndindex(matrix.shape))
    few = len(names) <= frames.MOST_CLASSES_WITH_NUMBERS
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
        height=560,
        sizing_mode="stretch_width",
        x_range=names,
        y_range=names[::-1],
        title="Confusion matrix: click a cell to see its pictures",
        x_axis_label="Predicted",
        y_axis_label="Truth",
        tools="hover,save",
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
    return below(kinds, plot, styles=FITS["styles"])
