"""The dashboard, driven in a real browser."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from browser import opened
from reslab.evaluation.metrics import by_threshold
from reslab.evaluation.predictions import Predictions
from reslab.predicting.predict import Predicted
from reslab.reports import dashboard
from reslab.reports.dashboard import Gallery, write_dashboard
from reslab.reports.results import answer
from reslab.runs.description import Description

pytestmark = pytest.mark.slow

NAMES = ("cat", "dog", "<b>bird</b>")
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>.png"


def description() -> Description:
    return Description("a-run-s0-1234", "pets", NAMES, 3, 32, (0.5,), (0.5,), False, {}, None)


def predictions(number: int) -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, number)
    logits = rng.normal(size=(number, 3)) + 2 * np.eye(3)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(shares.astype(np.float32), labels, NAMES)


def add(gallery: Gallery, one: Predicted) -> None:
    gallery.add(one, answer(one.probabilities, NAMES, 3, 0.5))


def written(path: Path, ours: Predictions, labelled: bool = True, size: int = 32) -> Path:
    number = len(ours.labels)
    gallery = Gallery(description())
    rng = np.random.default_rng(0)
    for at in range(number):
        noise = torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8))
        name = HOSTILE if at == 0 else f"pictures/{at:05}.png"
        label = int(ours.labels[at]) if labelled else None
        add(gallery, Predicted(Path(name), label, noise, ours.probabilities[at]))
    counts = Counter(answered=number)
    return write_dashboard(path, gallery, counts, ours if labelled else None, 0.5)


@pytest.fixture(scope="module")
def ours():
    return predictions(300)


@pytest.fixture(scope="module")
def dashboard_of_three_hundred(ours, tmp_path_factory):
    return written(tmp_path_factory.mktemp("dashboard") / "dashboard.html", ours)


@pytest.fixture
def page(dashboard_of_three_hundred):
    with opened(dashboard_of_three_hundred) as page:
        yield page
        assert page.problems == []
        assert not page.evaluate("window.hacked")


def model(page, name: str) -> str:
    return f"Bokeh.documents[0].get_model_by_name({json.dumps(name)})"


def shown(page) -> int:
    return int(
        re.match(r"[\d,]+", page.evaluate(f"{model(page, 'count')}.text"))[0].replace(",", "")
    )


def first_rows(page) -> list[list[str]]:
    """The table as it is on the screen, top row first."""
    rows = page.locator(".slick-row").all()
    rows.sort(key=lambda row: row.bounding_box()["y"])
    return [[cell.inner_text() for cell in row.locator(".slick-cell").all()] for row in rows]


@pytest.mark.long
def test_the_slider_moves_coverage_and_accuracy(page, ours):
    handle = page.locator(".noUi-handle").first
    handle.focus()
    for _ in range(30):
        handle.press("ArrowRight")
    value = page.evaluate(f"{model(page, 'threshold')}.value")
    assert value == pytest.approx(0.8)
    row = by_threshold(ours.confidence, ours.right)[80]
    expected = f"At 0.80, {100 * row['coverage']:.1f}% are answered, of which {100 * row['accuracy']:.2f}% are right"
    assert page.evaluate(f"{model(page, 'threshold effect')}.text") == expected
    assert page.get_by_text(expected).is_visible()


def test_filters_leave_what_they_name(page, ours):
    assert shown(page) == 300
    page.get_by_label("Truth").select_option("dog")
    assert shown(page) == (ours.labels == 1).sum()
    page.get_by_label("Verdict").select_option("wrong")
    wrong = (ours.labels == 1) & ~ours.right
    assert shown(page) == wrong.sum() > 0
    for cells in first_rows(page):
        assert cells[2] == "dog"
        assert cells[3] == "wrong"
    page.get_by_label("Predicted").select_option("cat")
    assert shown(page) == (wrong & (ours.predicted == 0)).sum()


def cell(page, predicted: str, truth: str) -> list[float]:
    """Where a cell of the confusion matrix is on the screen."""
    return page.evaluate(
        """([x, y]) => {
        const plot = Bokeh.documents[0].get_model_by_name("confusion plot")
        const {frame, el} = [...Bokeh.index.query((view) => view.model === plot)][0]
        const {left, top} = el.getBoundingClientRect()
        return [left + frame.x_scale.compute(x), top + frame.y_scale.compute(y)]
        }""",
        [predicted, truth],
    )


def test_a_click_on_the_confusion_matrix_shows_its_pictures(page, ours):
    page.mouse.click(*cell(page, "dog", "cat"))
    page.wait_for_timeout(200)
    assert page.evaluate(f"{model(page, 'truth')}.value") == "cat"
    assert page.evaluate(f"{model(page, 'predicted')}.value") == "dog"
    number = ((ours.labels == 0) & (ours.predicted == 1)).sum()
    assert shown(page) == number > 0
    for name in ("Truth", "Predicted"):
        page.get_by_label(name).select_option("(all)")
    page.get_by_label("Verdict").select_option("right")
    assert shown(page) == ours.right.sum()
    page.mouse.click(*cell(page, "dog", "cat"))  # again, whatever was chosen meanwhile
    page.wait_for_timeout(200)
    assert shown(page) == number


def test_counts_become_shares(page, ours):
    text = f"{model(page, 'confusion')}.data.text[0]"
    cats = ours.labels == 0
    assert page.evaluate(text) == str((cats & ours.right).sum())
    page.get_by_role("button", name="shares").click()
    assert page.evaluate(text) == f"{100 * (ours.right[cats]).mean():.1f}%"
    colors = page.evaluate(f"[...{model(page, 'confusion')}.data.color]")
    shares = page.evaluate(f"[...{model(page, 'confusion')}.data.value]")
    assert colors == ["white" if share > 0.5 else "black" for share in shares]
    assert set(colors) == {"white", "black"}


def test_the_table_sorts_by_a_click_on_a_heading(page, ours):
    page.locator(".slick-column-name", has_text="Confidence").click()
    page.wait_for_timeout(300)
    sure = [float(cells[5]) for cells in first_rows(page)]
    assert sure == sorted(sure)
    assert sure[0] == pytest.approx(ours.confidence.min(), abs=5e-4)


def test_hovering_says_what_is_under_the_mouse(page, ours):
    x, y = cell(page, "dog", "cat")
    page.mouse.move(x - 9, y)
    page.mouse.move(x, y)
    number = ((ours.labels == 0) & (ours.predicted == 1)).sum()
    page.get_by_text(f"{number} (").wait_for(state="visible", timeout=5000)


def test_hostile_names_are_text(page):
    page.wait_for_selector(".slick-row")
    (name,) = [cells[1] for cells in first_rows(page) if "script" in cells[1]]
    assert name == HOSTILE


@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (48, 3)])
def test_each_row_shows_its_own_picture(tmp_path, size, channels):
    """Pictures of one color each, more than fill a row of the sheet, in the order of the table."""
    ours = predictions(150)
    colors = np.random.default_rng(1).integers(0, 256, (150, channels), dtype=np.uint8)
    gallery = Gallery(description())
    for at, color in enumerate(colors):
        image = torch.from_numpy(color)[:, None, None].expand(channels, size, size)
        add(gallery, Predicted(Path(f"{at}.png"), None, image, ours.probabilities[at]))
    path = write_dashboard(tmp_path / "page.html", gallery, Counter(answered=150), None, 0.5)
    with opened(path, height=1200) as page:
        page.locator(".slick-column-name", has_text="Confidence").click()
        page.wait_for_timeout(300)
        screen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)
        table = page.locator(".slick-viewport").first.bounding_box()
        seen = 0
        for row in page.locator(".slick-row").all():
            file = row.locator(".slick-cell").nth(1).inner_text()
            box = row.locator(".thumbnail").bounding_box()
            left, top = (round(box[key]) for key in ("x", "y"))
            inside = screen[top + 1 : top + 39, left + 1 : left + 39]
            if top + 40 <= table["y"] + table["height"]:
                color = colors[int(file.removesuffix(".png"))]
                assert np.abs(inside - color).max() <= 12, file
                seen += int(file.removesuffix(".png")) >= 100
        assert seen > 0


def test_without_labels_there_is_what_can_be_said(tmp_path, ours):
    with opened(written(tmp_path / "dashboard.html", ours, labelled=False)) as page:
        assert shown(page) == 300
        page.get_by_label("Predicted").select_option("dog")
        assert shown(page) == (ours.predicted == 1).sum()
        page.locator(".noUi-handle").first.focus()
        page.keyboard.press("ArrowRight")
        share = (ours.confidence >= 0.51).mean()
        text = f"At 0.51, {100 * share:.1f}% are answered"
        assert page.evaluate(f"{model(page, 'threshold effect')}.text") == text
        assert page.problems == []


@pytest.mark.long
def test_where_only_some_are_labelled_the_page_says_that_it_speaks_of_those(tmp_path, ours):
    gallery = Gallery(description())
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    for at, shares in enumerate(ours.probabilities):
        label = int(ours.labels[at]) if at < 100 else None
        add(gallery, Predicted(Path(f"{at}.png"), label, image, shares))
    some = Predictions(ours.probabilities[:100], ours.labels[:100], NAMES)
    path = tmp_path / "dashboard.html"
    with opened(write_dashboard(path, gallery, Counter(answered=300), some, 0.5)) as page:
        said = f"{model(page, 'threshold effect')}.text"
        for steps, threshold in ((0, 0.5), (20, 0.7)):
            page.locator(".noUi-handle").first.focus()
            for _ in range(steps):
                page.keyboard.press("ArrowRight")
            sure = some.confidence >= threshold
            assert page.evaluate(said) == (
                f"At {threshold:.2f}, {100 * sure.mean():.1f}% of the labeled pictures are "
                f"answered, of which {100 * some.right[sure].mean():.2f}% are right"
            )
        titles = page.evaluate(
            "[...Bokeh.documents[0]._all_models.values()].filter((m) => m.type == 'Title')"
            ".map((m) => m.text)"
        )
        assert "Labeled pictures by confidence" in titles
        assert "What a threshold leaves of the labeled pictures" in titles
        assert page.problems == []


def test_the_gallery_keeps_ten_thousand_and_each_picture_is_as_likely(monkeypatch):
    monkeypatch.setattr(dashboard, "MOST_IMAGES", 50)
    kept = Counter()
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    for seed in range(40):
        gallery = Gallery(description())
        gallery._random = np.random.default_rng(seed)
        for at in range(200):
            add(gallery, Predicted(Path(f"{at}.png"), None, image, np.array([0.5, 0.3, 0.2])))
        assert gallery.seen == len(gallery.confidence) == 200
        assert {len(values) for values in gallery.rows.values()} == {50}
        kept.update(int(name.split(".")[0]) // 50 for name in gallery.rows["file"])
    assert all(400 < kept[quarter] < 600 for quarter in range(4))


def seconds_to_open(path: Path) -> float:
    with opened(path) as page:
        page.wait_for_selector(".slick-row")
        taken = page.evaluate("performance.now()") / 1000
        assert shown(page) == int(path.stem)
        assert page.problems == []
    return taken


@pytest.mark.long
def test_ten_thousand_pictures_are_a_small_page_that_opens_soon(tmp_path):
    """Within so many times what a hundred take; one of five takes is enough, as others may run."""
    few, many = (
        written(tmp_path / f"{number}.html", predictions(number), size=48)  # noise: the largest
        for number in (100, 10_000)
    )
    assert many.stat().st_size < 25e6
    takes = ((seconds_to_open(few), seconds_to_open(many)) for _ in range(5))
    assert any(slow < 4 * fast for fast, slow in takes)


@pytest.mark.long
def test_nothing_is_out_of_sight_on_a_screen_of_any_width(page):
    outside = """
    [...Bokeh.index.roots].flatMap((root) => [root, ...root.children()])
        .filter((one) => one.el.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.model.type)
    """
    for width in (360, 390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 844})
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(outside) == []
        plots = [one.bounding_box()["width"] for one in page.locator(".bk-Figure").all()]
        assert len(plots) == 5
        assert min(plots) > 0.8 * min(width, 400)
    assert page.problems == []
