"""A picture by matplotlib and its like by Bokeh show the same numbers in the same colors."""

import numpy as np
import pytest
from bokeh.models import ColumnDataSource, GlyphRenderer, Select
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch

from reslab.evaluation import figures, frames
from reslab.evaluation.metrics import summarize
from reslab.evaluation.predictions import Predictions
from reslab.reports import plots
from reslab.reports.confusion import confusion

NAMES = tuple("abcdef")


@pytest.fixture
def predictions():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 6, 400)
    logits = rng.normal(size=(400, 6)) + 2 * np.eye(6)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(shares.astype(np.float32), labels, NAMES)


@pytest.fixture
def axes_of(monkeypatch, tmp_path):
    """What a function of `figures` draws, as matplotlib has it before it becomes a file."""

    def draw(function, *arguments, **more):
        drawn = []
        monkeypatch.setattr(figures, "save_figure", lambda figure, path: drawn.append(figure))
        function(*arguments, "title", tmp_path / "a.png", **more)
        return drawn[0].axes

    return draw


def column(renderer: GlyphRenderer, name: str) -> np.ndarray:
    return np.array(renderer.data_source.data[name])


def test_the_confusion_matrix_has_the_same_counts_and_shares(predictions, axes_of):
    axes, _ = axes_of(figures.draw_confusion, predictions)
    filters = {key: Select(name=key) for key in ("truth", "predicted", "verdict")}
    source = confusion(predictions, filters).select_one({"type": ColumnDataSource})
    counts = np.zeros((6, 6), int)
    np.add.at(counts, (predictions.labels, predictions.predicted), 1)
    assert source.data["count"] == counts.flatten().tolist()
    shares = counts / counts.sum(1, keepdims=True)
    assert np.allclose(np.array(source.data["share"]).reshape(6, 6), shares)
    assert np.allclose(axes.images[0].get_array(), shares)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    assert texts == {(j, i): str(counts[i, j]) for i, j in np.argwhere(counts)}


def test_the_bars_of_the_classes_are_as_high(predictions, axes_of):
    (axes,) = axes_of(figures.draw_per_class, summarize(predictions, 0.5))
    bars = plots.per_class(predictions).renderers
    assert len(bars) == len(axes.containers) == 3
    for container, bar in zip(axes.containers, bars):
        heights = [one.get_height() for one in container]
        assert np.array_equal(heights, column(bar, bar.glyph.top))
        assert to_hex(container[0].get_facecolor()) == bar.glyph.fill_color.lower()


@pytest.mark.parametrize("known", [True, False])
def test_confidence_is_counted_in_the_same_bins(predictions, axes_of, known):
    confidence, right = predictions.confidence, predictions.right if known else None
    axes, _ = axes_of(figures.draw_confidence, confidence, right, 0.5)
    stairs = [one for one in axes.get_children() if isinstance(one, StepPatch)]
    quads = plots.histogram(confidence, right).renderers
    assert len(stairs) == len(quads) == (2 if known else 1)
    for stair, quad in zip(stairs, quads):
        assert np.array_equal(stair.get_data().values, column(quad, "top"))
        assert np.array_equal(stair.get_data().baseline, column(quad, "bottom"))
        edges = [*column(quad, "left"), column(quad, "right")[-1]]
        assert np.array_equal(stair.get_data().edges, edges)
        assert to_hex(stair.get_facecolor()) == quad.glyph.fill_color.lower()
    low, high = column(quads[0], "left"), column(quads[0], "right")
    ours = np.arange(400) if right is None else np.flatnonzero(right)
    inside = (confidence[ours, None] >= low) & (confidence[ours, None] < high)
    assert np.array_equal(column(quads[0], "count"), inside.sum(0))
    assert column(quads[-1], "top").sum() == 400


@pytest.mark.parametrize("known", [True, False])
def test_the_curves_over_the_threshold_are_the_same(predictions, axes_of, known):
    confidence, right = predictions.confidence, predictions.right if known else None
    _, axes = axes_of(figures.draw_confidence, confidence, right, 0.5)
    _, _, plot = plots.threshold_effect(confidence, right, 0.5)
    lines = axes.lines[:-1]  # the last is the threshold's
    ours = plot.renderers
    assert len(lines) == len(ours) == (2 if known else 1)
    for line, renderer in zip(lines, ours):
        drawn = column(renderer, renderer.glyph.y)
        assert np.array_equal(line.get_ydata(), drawn, equal_nan=True)
        assert np.array_equal(line.get_xdata(), column(renderer, "threshold"))
        assert to_hex(line.get_color()) == renderer.glyph.line_color.lower()
    assert column(ours[0], "coverage")[70] == (confidence >= 0.7).mean()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [item.label.value for item in plot.legend[0].items]


def test_the_reliability_diagram_has_the_same_bins(predictions, axes_of):
    (axes,) = axes_of(figures.draw_reliability, {"one": predictions})
    bars, dots, _ = plots.reliability_diagram(predictions).renderers
    places = axes.collections[0].get_offsets()
    assert np.array_equal(places[:, 0], column(dots, "confidence"))
    assert np.array_equal(places[:, 1], column(dots, "accuracy"))
    assert np.array_equal(column(bars, bars.glyph.top), column(dots, "accuracy"))
    color = to_hex(axes.collections[0].get_facecolor()[0])
    assert color == bars.glyph.fill_color.lower() == dots.glyph.fill_color.lower()
    assert column(dots, "count").sum() == 400


def test_many_models_have_a_reliability_diagram_each_on_shared_axes(predictions, axes_of):
    bins = frames.reliability_bins(predictions)
    few = {str(number): predictions for number in range(4)}
    (together,) = axes_of(figures.draw_reliability, few)
    assert len(together.collections) == 4
    assert len(together.get_legend().get_texts()) == 4
    for number in (5, 7, 10, 12):
        models = {f"model {at}": predictions for at in range(number)}
        axes = axes_of(figures.draw_reliability, models)
        panels = [one for one in axes if one.axison]
        assert [one.get_title("left") for one in panels] == list(models)
        assert len({(one.get_xlim(), one.get_ylim()) for one in panels}) == 1
        assert len(axes) - number < max(one.get_gridspec().nrows for one in panels)
        for one in panels:
            (dots,) = one.collections
            assert np.array_equal(dots.get_offsets(), bins[["confidence", "accuracy"]])
            assert one.texts[0].get_text().startswith("ECE 0.")
        assert len({to_hex(one.collections[0].get_facecolor()[0]) for one in panels}) >= 5


def test_models_of_one_color_are_told_apart_by_their_dashes(predictions, axes_of):
    styles = [{"color": "#0072B2", "ls": ls} for ls in ("--", "-")]
    models = {"plain": predictions, "residual": predictions}
    (axes,) = axes_of(figures.draw_reliability, models, styles=styles)
    dashes = [line.get_linestyle() for line in axes.lines if "(ECE" in str(line.get_label())]
    assert dashes == ["--", "-"]


def test_many_classes_are_drawn_without_numbers(predictions, axes_of):
    number = frames.MOST_CLASSES_WITH_NUMBERS + 1
    shares = np.eye(number, dtype=np.float32)
    many = Predictions(shares, np.arange(number), tuple(map(str, range(number))))
    axes, _ = axes_of(figures.draw_confusion, many)
    assert list(axes.texts) == []
    filters = {key: Select(name=key) for key in ("truth", "predicted", "verdict")}
    source = confusion(many, filters).select_one({"type": ColumnDataSource})
    assert set(source.data["text"]) == {""}
