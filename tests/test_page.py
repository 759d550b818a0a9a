"""A table's page on screens of every width, in a real browser, and the pictures that it holds."""

import base64
import re
from dataclasses import replace
from itertools import count

import pytest
from matplotlib.figure import Figure
from PIL import Image

from browser import opened
from conftest import REPOSITORY
from reslab.tables.findings import sum_up
from reslab.tables.page import write_page
from reslab.tables.plan import load_table
from reslab.tables.reference import from_reference
from reslab.tables.render import render

pytestmark = pytest.mark.slow

HOSTILE = '<img src="https://example.org/x" onerror="alert(1)"> & "$quoted"'
OUTSIDE = """
[...document.querySelectorAll("main *")]
    .filter((one) => !one.parentElement.closest(".scroll"))
    .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => one.outerHTML.slice(0, 100))
"""


@pytest.fixture(scope="module")
def findings():
    table = load_table("liu_goh", ("dataset=digits", "seed=0,1", "trainer.max_epochs=3"))
    found = sum_up(table, from_reference(table, REPOSITORY / "outputs/reference"))
    return replace(found, notes=[*found.notes, HOSTILE])


@pytest.fixture(scope="module")
def path(findings, tmp_path_factory):
    return write_page(findings, tmp_path_factory.mktemp("page") / "page.html")


@pytest.mark.long
def test_nothing_is_out_of_sight_on_a_screen_of_any_width(path, findings):
    with opened(path) as page:
        for width in (360, 390, 768, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert page.evaluate(OUTSIDE) == []
            for note in findings.notes:
                box = page.get_by_text(note, exact=True).bounding_box()
                assert box["x"] >= 0
                assert 100 < box["width"] <= width
            for table in page.locator(".scroll").all():  # all of it can be reached
                last = table.locator("th").last
                last.scroll_into_view_if_needed()
                box, frame = last.bounding_box(), table.bounding_box()
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1 <= width + 1
            plots = [one.bounding_box()["width"] for one in page.locator(".bk-Figure").all()]
            assert len(plots) == 5
            assert min(plots) > 0.8 * min(width, 540)
        assert page.problems == []


@pytest.mark.long
def test_on_a_screen_of_1280_pixels_the_whole_table_is_in_sight(path):
    with opened(path, 1280, 900) as page:
        for table in page.locator(".scroll").all():
            assert table.evaluate("(one) => one.scrollWidth <= one.clientWidth")


@pytest.mark.parametrize(
    "name", [pytest.param("he2016", marks=pytest.mark.long), "system", "resnet3"]
)
def test_a_page_holds_every_picture_of_its_folder(name, tmp_path, monkeypatch):
    """With depths, of two data sets, of one row; a picture is a pixel, that it is laid out at once."""
    numbers = count()

    def save(figure, buffer, **how):
        color = divmod(next(numbers), 256)
        Image.new("RGB", (1, 1), (*color, 0)).save(buffer, "png")

    monkeypatch.setattr(Figure, "savefig", save)
    table = load_table(name)
    results = from_reference(table, REPOSITORY / "outputs/reference")
    folder = render(table, results, tmp_path).folder
    page = (folder / "page.html").read_text()
    held = re.findall(r'<img alt="([^"]+)" src="data:image/png;base64,([^"]+)">', page)
    drawn = {path.stem: path.read_bytes() for path in (folder / "figures").glob("*.png")}
    assert {stem: base64.b64decode(content) for stem, content in held} == drawn
    assert len(held) == len(set(drawn.values())) == len(drawn)
    rows = {result.cell.row.name for result in results if result.run}
    assert len(drawn) == 6 + 3 * len(rows) + (name == "he2016")
    assert page.count("<details") == 1 + len(rows)


def test_a_name_is_text_whatever_it_looks_like(path):
    with opened(path) as page:
        assert page.get_by_text(HOSTILE, exact=True).count() == 1
        assert page.locator("img[onerror]").count() == 0
        assert page.problems == []
