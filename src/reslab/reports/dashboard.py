"""One self-contained page about predictions, which works offline and in any browser."""

import base64
import html
import io
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataTable,
    Div,
    HTMLTemplateFormatter,
    IndexFilter,
    InlineStyleSheet,
    NumberFormatter,
    Select,
    StringFormatter,
    TableColumn,
    UIElement,
)
from PIL import Image
from torch import Tensor

from reslab.evaluation.looks import overlaid
from reslab.evaluation.palette import WITHIN_BOKEH
from reslab.evaluation.predictions import Predictions
from reslab.predicting.predict import Predicted
from reslab.preprocess import resized
from reslab.reports import plots
from reslab.reports.confusion import confusion
from reslab.reports.layout import below, beside, write_page
from reslab.reports.results import Answer
from reslab.runs.description import Description

MOST_IMAGES = 10_000
THUMBNAIL = 32  # pixels at most: whole blocks of a JPEG, so that neighbours do not run together
SHEET_COLUMNS = 100
SHOWN = 40  # pixels of the screen
ALL = "(all)"


class Gallery:
    """The pictures that the page shows: all of them, or 10,000 drawn at random.

    Args:
        description: The network's.
    """

    def __init__(self, description: Description) -> None:
        self.name, self.class_names = description.name, description.class_names
        self.seen = 0
        self.confidence = array("f")  # of all
        self._random = np.random.default_rng(0)
        self.images: list[Tensor] = []  # uint8 [C, S, S], small
        self.looks: list[Tensor] = []  # the same below their heat, if that is known
        self.rows: dict[str, list[Any]] = {
            key: [] for key in ("file", "truth", "predicted", "confidence", "top", "verdict")
        }

    def add(self, one: Predicted, given: Answer) -> None:
        """Takes a predicted picture, or passes it over, so that each is as likely to stay."""
        assert one.image is not None
        self.seen += 1
        self.confidence.append(given.confidence)
        place = len(self.images)
        if place == MOST_IMAGES:
            place = int(self._random.integers(self.seen))
            if place >= MOST_IMAGES:
                return
        truth = "" if one.label is None else self.class_names[one.label]
        predicted = given.top[0]["class"]
        values = {
            "file": str(one.path).encode(errors="replace").decode(),
            "truth": truth,
            "predicted": predicted,
            "confidence": given.confidence,
            "top": ", ".join(f"{row['class']} {row['probability']:.3f}" for row in given.top),
            "verdict": ("right" if truth == predicted else "wrong") if truth else "",
        }
        for key, value in values.items():
            self.rows[key][place : place + 1] = [value]
        size = min(one.image.shape[-1], THUMBNAIL)
        self.images[place : place + 1] = [resized(one.image, size)]
        if one.heat is not None:
            self.looks[place : place + 1] = [resized(overlaid(one.image, one.heat), size)]


def _thumbnails(images: list[Tensor], kind: str) -> tuple[str, list[str]]:
    """Pictures on one sheet: the CSS of a class that shows it, and where on it each of them is."""
    size = images[0].shape[-1]
    cells = torch.stack(images).numpy().transpose(0, 2, 3, 1)
    columns, rows = SHEET_COLUMNS, -(-len(cells) // SHEET_COLUMNS)
    missing, margin = columns * rows - len(cells), THUMBNAIL - size
    cells = np.pad(cells, ((0, missing), (0, margin), (0, margin), (0, 0)), mode="edge")
    sheet = cells.reshape(rows, columns, THUMBNAIL, THUMBNAIL, -1).swapaxes(1, 2)
    sheet = sheet.reshape(rows * THUMBNAIL, columns * THUMBNAIL, -1)
    buffer = io.BytesIO()
    Image.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet).save(
        buffer, "JPEG", quality=85, subsampling=0
    )
    step = SHOWN * THUMBNAIL / size
    address = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    css = (
        f".{kind} {{ width: {SHOWN}px; height: {SHOWN}px; image-rendering: pixelated; "
        f"background: url({address}) 0 0 / {columns * step}px; }}"
    )
    places = (divmod(at, columns) for at in range(len(images)))
    return css, [f"{-step * column:g}px {-step * row:g}px" for row, column in places]


def write_dashboard(
    path: Path,
    gallery: Gallery,
    counts: Counter[str],
    predictions: Predictions | None,
    threshold: float,
) -> Path:
    """Writes the page.

    Args:
        path: The HTML file.
        gallery: Pictures for the table.
        counts: Files by what became of them.
        predictions: Of the labelled pictures, if there are any.
        threshold: Where the slider stands at first.
    """
    css, places = _thumbnails(gallery.images, "thumbnail")
    if gallery.looks:
        css += _thumbnails(gallery.looks, "look")[0]
    source = ColumnDataSource(gallery.rows | {"thumbnail": places}, name="images")
    filters = _filters(gallery)
    parts: list[UIElement] = [_heading(gallery, counts, predictions)]
    if predictions:
        slider, *threshold_plots = plots.threshold_effect(
            predictions.confidence,
            predictions.right,
            threshold,
            of_labelled=len(predictions.labels) < gallery.seen,
        )
        parts += [
            beside(
                confusion(predictions, filters),
                plots.per_class(predictions),
            ),
            slider,
            beside(*threshold_plots, plots.reliability_diagram(predictions)),
        ]
    else:
        slider, *threshold_plots = plots.threshold_effect(
            np.array(gallery.confidence), None, threshold
        )
        parts += [slider, beside(*threshold_plots)]
    shown = "" if gallery.seen <= MOST_IMAGES else f" ({MOST_IMAGES:,} of them, drawn at random)"
    parts += [
        Div(text=f"<h2>Pictures{shown}</h2>"),
        beside(*filters.values()),
        _table(source, filters, css, looks=bool(gallery.looks)),
    ]
    return write_page(path, gallery.name, *parts, name="dashboard")


def _heading(gallery: Gallery, counts: Counter[str], predictions: Predictions | None) -> Div:
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    good = ""
    if predictions:
        share = predictions.right.mean()
        good = f"{share:.2%} of {len(predictions.labels):,} labeled pictures are right; "
    name = html.escape(gallery.name)
    text = f"<h1>{name}</h1><p>{good}{said}</p>"
    return Div(text=text)


def _filters(gallery: Gallery) -> dict[str, Select]:
    names = [ALL, *gallery.class_names]
    options = {"predicted": names}
    if any(gallery.rows["truth"]):
        options = {"truth": names, "predicted": names, "verdict": [ALL, "right", "wrong"]}
    return {
        key: Select(title=key.capitalize(), value=ALL, options=values, name=key, width=160)
        for key, values in options.items()
    }


def _table(
    source: ColumnDataSource, filters: dict[str, Select], css: str, *, looks: bool
) -> UIElement:
    number = len(source.data["file"])
    kept = IndexFilter(indices=list(range(number)))
    count = Div(text=f"{number:,} pictures", name="count")
    change = CustomJS(
        args={"source": source, "kept": kept, "filters": list(filters.values()), "count": count},
        code="""
        const asked = filters.filter((one) => one.value != "(all)")
        const indices = []
        for (let i = 0; i < source.data.file.length; i++)
            if (asked.every((one) => source.data[one.name][i] == one.value)) indices.push(i)
        kept.indices = indices
        source.change.emit()
        count.text = `${indices.length.toLocaleString("en")} pictures`
        """,
    )
    for select in filters.values():
        select.js_on_change("value", change)
    titles = {"thumbnail": "Picture"} | ({"look": "Grad-CAM"} if looks else {})
    labelled = [key for key in ("truth", "verdict") if key in filters]
    columns = [
        *(_pictures(kind, title) for kind, title in titles.items()),
        TableColumn(field="file", title="File", width=300, formatter=StringFormatter()),
        *(TableColumn(field=key, title=key.capitalize(), width=90) for key in labelled),
        TableColumn(field="predicted", title="Predicted", width=90),
        TableColumn(
            field="confidence",
            title="Confidence",
            width=90,
            formatter=NumberFormatter(format="0.000"),
        ),
        TableColumn(field="top", title="Ranking", width=500),
    ]
    table = DataTable(
        source=source,
        view=CDSView(filter=kept),
        columns=columns,
        sizing_mode="stretch_width",
        fit_columns=False,  # on a phone it is scrolled
        height=560,
        row_height=44,
        index_position=None,
        name="table",
        stylesheets=[InlineStyleSheet(css=WITHIN_BOKEH + css)],
    )
    return below(count, table)


def _pictures(kind: str, title: str) -> TableColumn:
    """A column that shows of each row its part of a sheet."""
    template = f'<div class="{kind}" style="background-position: <%= value %>"></div>'
    formatter = HTMLTemplateFormatter(template=template)
    return TableColumn(
        field="thumbnail", title=title, formatter=formatter, width=70, sortable=False
    )
