"""What is drawn of landscapes: lines told apart, axes and ticks with words, what is not finite."""

import numpy as np
import pytest

from reslab.analyze import landscape_pictures
from reslab.analyze.kinds import settings_of
from reslab.analyze.landscape import Landscape
from reslab.analyze.question import Question


def made_up(low: float, high: float) -> Landscape:
    line = np.geomspace(low, high, 5)
    plane = np.geomspace(low, high, 9).reshape(3, 3)
    return Landscape(np.stack([line, line], -1), np.stack([plane, plane], -1), 7)


def drawn(found, monkeypatch, tmp_path, *words):
    """The figure, and the parts of the page."""
    question = Question(
        "landscape", settings_of("landscape", ["points=3", "line_points=5", *words])
    )
    titles = [f"run {at}" for at in range(len(found))]
    monkeypatch.setattr(landscape_pictures, "save_figure", lambda figure, path: figure)
    figure = landscape_pictures.draw(found, titles, question, tmp_path / "it")
    return figure, landscape_pictures.show(found, titles, question)


def test_more_lines_than_colors_are_told_apart(monkeypatch, tmp_path):
    figure, parts = drawn([made_up(0.2, 9)] * 9, monkeypatch, tmp_path)
    lines = figure.subfigs[1].axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9
    glyphs = [one.glyph for one in parts[2].renderers if type(one.glyph).__name__ == "Line"]
    assert len({(glyph.line_color, str(glyph.line_dash)) for glyph in glyphs}) == 9


def test_axes_and_ticks_are_labeled_and_it_is_said_what_was_asked(monkeypatch, tmp_path):
    figure, parts = drawn([made_up(0.2, 9)] * 2, monkeypatch, tmp_path, "seed=1")
    (left, right, bar) = figure.subfigs[0].axes
    for axes in (left, right):
        assert axes.get_xlabel() == "Steps along the first direction"
    assert left.get_ylabel() == "Steps along the second direction"
    ticks = [label.get_text() for label in bar.get_yticklabels()]
    assert ticks == ["0.2", "0.5", "1", "2", "5"]
    assert "points=3 line_points=5 seed=1" in figure.get_suptitle()
    assert "points=3 line_points=5 seed=1" in parts[0].text
    (plane, _) = parts[1].children
    assert plane.yaxis.axis_label == "Steps along the second direction"
    assert list(plane.right[0].major_label_overrides.values()) == ticks


def test_losses_over_many_decades_are_told_as_powers():
    assert landscape_pictures._ticks(0.01, 150) == {
        0.01: "10⁻²",
        0.1: "10⁻¹",
        1.0: "10⁰",
        10.0: "10¹",
        100.0: "10²",
    }
    assert len(landscape_pictures._ticks(1e-6, 1e30)) < 10
    assert list(landscape_pictures._ticks(2.1, 2.32).values()) == ["2.1", "2.2", "2.3"]


@pytest.mark.parametrize("others", [[], [made_up(0.2, 9)]])
@pytest.mark.parametrize("at_the_weights", [np.nan, 2.3])
def test_where_no_loss_is_finite_it_is_said(others, at_the_weights, monkeypatch, tmp_path):
    none = made_up(np.nan, np.nan)
    none.line[2, 0] = none.plane[1, 1, 0] = at_the_weights
    figure, parts = drawn([none, *others], monkeypatch, tmp_path)
    assert [text.get_text() for text in figure.subfigs[0].axes[0].texts] == ["not finite"]
    assert not any(axes.texts for axes in figure.subfigs[0].axes[1:])
    (line, *_) = figure.subfigs[1].axes[0].lines
    assert line.get_label() == "run 0, not finite"
    texts = [one.glyph.text for one in parts[1].children[0].renderers if hasattr(one.glyph, "text")]
    assert len(texts) == 1
    assert parts[2].legend[0].items[0].label.value == "run 0, not finite"
