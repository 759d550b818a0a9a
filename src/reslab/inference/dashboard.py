"""One self-contained page about predictions, which works offline and in any browser."""

import base64
import html
import io
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataTable,
    Div,
    HTMLTemplateFormatter,
    IndexFilter,
    NumberFormatter,
    Select,
    StringFormatter,
    TableColumn,
    UIElement,
)
from bokeh.resources import INLINE
from PIL import Image
from torch import Tensor

from reslab.evaluation.metrics import Predictions
from reslab.files import write_atomically
from reslab.inference import plots
from reslab.inference.plots import FONT
from reslab.inference.predict import Predicted
from reslab.runs.load import Description

MOST_IMAGES = 10_000
THUMBNAIL = 32  # pixels at most
ALL = "(all)"


class Gallery:
    """The pictures that the page shows: all of them, or 10,000 drawn at random.

    Args:
        description: The network's.
        top_k: Classes in a ranking.
    """

    def __init__(self, description: Description, top_k: int) -> None:
        self.description, self.top_k = description, top_k
        self.seen = 0
        self.confidence = array("f")  # of all
        self._random = np.random.default_rng(0)
        self.rows: dict[str, list[Any]] = {
            key: []
            for key in ("thumbnail", "file", "truth", "predicted", "confidence", "top", "verdict")
        }

    def add(self, one: Predicted) -> None:
        """Takes a predicted picture, or passes it over, so that each is as likely to stay."""
        assert one.probabilities is not None
        assert one.image is not None
        self.seen += 1
        self.confidence.append(float(one.probabilities.max()))
        place = len(self.rows["file"])
        if place == MOST_IMAGES:
            place = int(self._random.integers(self.seen))
            if place >= MOST_IMAGES:
                return
        names, order = self.description.class_names, np.argsort(-one.probabilities, kind="stable")
        truth = "" if one.label is None else names[one.label]
        predicted = names[order[0]]
        ranking = [f"{names[k]} {one.probabilities[k]:.3f}" for k in order[: self.top_k]]
        values = {
            "thumbnail": thumbnail(one.image),
            "file": str(one.path).encode(errors="replace").decode(),
            "truth": truth,
            "predicted": predicted,
            "confidence": round(float(one.probabilities[order[0]]), 4),
            "top": ", ".join(ranking),
            "verdict": ("right" if truth == predicted else "wrong") if truth else "",
        }
        for key, value in values.items():
            self.rows[key][place : place + 1] = [value]


def thumbnail(image: Tensor) -> str:
    """A data address of a small JPEG picture, of uint8 `[C, H, W]`.

    WebP would be half its size, and takes three times as long.
    """
    array = image.numpy()
    picture = Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


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
    source = ColumnDataSource(gallery.rows, name="images")
    filters = _filters(gallery)
    parts: list[UIElement] = [_heading(gallery, counts, predictions)]
    if predictions:
        truth, predicted = filters["truth"], filters["predicted"]
        slider, *threshold_plots = plots.threshold_effect(
            predictions.confidence,
            predictions.right,
            threshold,
            of_labelled=len(predictions.labels) < gallery.seen,
        )
        parts += [
            row(
                plots.confusion(predictions, truth, predicted),
                plots.per_class(predictions, threshold),
            ),
            slider,
            row(*threshold_plots, plots.reliability_diagram(predictions)),
        ]
    else:
        slider, *threshold_plots = plots.threshold_effect(
            np.array(gallery.confidence), None, threshold
        )
        parts += [slider, row(*threshold_plots)]
    shown = "" if gallery.seen <= MOST_IMAGES else f" ({MOST_IMAGES:,} of them, drawn at random)"
    parts += [
        Div(text=f"<h2>Pictures{shown}</h2>", styles=FONT),
        row(*filters.values()),
        _table(source, filters),
    ]
    page = file_html(column(*parts, name="dashboard"), INLINE, f"{gallery.description.name}")
    write_atomically(path, page.encode())
    return path


def _heading(gallery: Gallery, counts: Counter[str], predictions: Predictions | None) -> Div:
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    good = ""
    if predictions:
        share = predictions.right.mean()
        good = f"{share:.2%} of {len(predictions.labels):,} labelled pictures are right; "
    name = html.escape(gallery.description.name)
    text = f"<h1 style='margin: 0'>{name}</h1><p>{good}{said}</p>"
    return Div(text=text, styles=FONT)


def _filters(gallery: Gallery) -> dict[str, Select]:
    names = [ALL, *gallery.description.class_names]
    options = {"predicted": names}
    if any(gallery.rows["truth"]):
        options = {"truth": names, "predicted": names, "verdict": [ALL, "right", "wrong"]}
    return {
        key: Select(title=key.capitalize(), value=ALL, options=values, name=key, width=160)
        for key, values in options.items()
    }


def _table(source: ColumnDataSource, filters: dict[str, Select]) -> UIElement:
    number = len(source.data["file"])
    kept = IndexFilter(indices=list(range(number)))
    count = Div(text=f"{number:,} pictures", styles=FONT, name="count")
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
    picture = HTMLTemplateFormatter(
        template='<img src="<%= value %>" style="height:40px;image-rendering:pixelated">'
    )
    labelled = [key for key in ("truth", "verdict") if key in filters]
    columns = [
        TableColumn(
            field="thumbnail", title="Picture", formatter=picture, width=60, sortable=False
        ),
        TableColumn(field="file", title="File", width=330, formatter=StringFormatter()),
        *(TableColumn(field=key, title=key.capitalize(), width=90) for key in labelled),
        TableColumn(field="predicted", title="Predicted", width=90),
        TableColumn(
            field="confidence",
            title="Confidence",
            width=90,
            formatter=NumberFormatter(format="0.000"),
        ),
        TableColumn(field="top", title="Ranking", width=560),
    ]
    table = DataTable(
        source=source,
        view=CDSView(filter=kept),
        columns=columns,
        width=1300,
        height=560,
        row_height=44,
        index_position=None,
        name="table",
    )
    return column(count, table)
