"""A table's page in a real browser: readable at the width of a phone, a laptop and a big screen."""

from dataclasses import replace

import pytest

from browser import opened
from reslab.tables.collect import collect
from reslab.tables.findings import sum_up
from reslab.tables.page import write_page
from reslab.tables.plan import load_table
from reslab.tables.publication import EXTRA
from synthetic import ON_DIGITS, finish, own_table

SIZES = {"phone": (390, 844), "laptop": (1280, 900), "screen": (1920, 1080)}
PATH = "/a/very/long/path" * 20
SCRIPT = "<script>document.title = 'taken'</script>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """The page of a table with every column, and notes that are long and that are HTML."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, monkeypatch=patch)
        table = load_table("own", (*ON_DIGITS, "seed=0,1,2,3,4"))
        for cell in table.cells:
            finish(cell, epochs=12)
        table = replace(table, publication=replace(table.publication, columns=EXTRA))
        findings = sum_up(table, collect(table))
        findings.notes.extend([PATH, SCRIPT])
        return write_page(findings, folder / "page.html")


def shown(page, size) -> None:
    """Nothing is wider than the window."""
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.evaluate("window.innerWidth") == size[0]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_nothing_is_wider_than_the_window_and_all_can_be_reached(size, page_file):
    phone = {"has_touch": True, "is_mobile": True} if size == SIZES["phone"] else {}
    with opened(page_file, *size, **phone) as page:
        shown(page, size)
        for region in page.get_by_role("region").all():
            last = region.get_by_role("columnheader").last
            last.scroll_into_view_if_needed()
            box, first = last.bounding_box(), region.get_by_role("rowheader").first.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
            assert first["x"] == pytest.approx(region.bounding_box()["x"], abs=1), "names stay"
        for note in [*page.get_by_role("listitem").all(), *page.locator(".plots > div").all()]:
            box = note.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
        for plot in page.locator(".bk-Canvas").all():
            assert plot.bounding_box()["width"] > 0.6 * min(size[0], 600)
        page.get_by_text("runs behind the numbers").click()
        shown(page, size)
        assert page.title() == "Depth & skips, on digits", "a note is text, not a script"
        assert page.problems == []


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_what_a_curve_says_fits_too(size, page_file):
    with opened(page_file, *size) as page:
        plot = page.locator(".bk-Canvas").first
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        for share in (0.3, 0.9):  # at the right it would stand out
            said = page.locator(".bk-tooltip-content")
            for y in range(30, 260, 3):  # down to a curve
                page.mouse.move(box["x"] + share * box["width"], box["y"] + y)
                page.wait_for_timeout(30)
                if said.count():
                    break
            text = said.first.inner_text()
            assert "range:" in text
            assert "digits-resnet20" in text
            shown(page, size)
            place = said.first.bounding_box()
            assert place["x"] >= 0
            assert place["x"] + place["width"] <= size[0]


def test_a_button_hides_a_model_in_all_curves(page_file):
    visible = "Bokeh.documents[0].roots().map((one) => one.renderers.map((r) => r.visible))"
    with opened(page_file) as page:
        button = page.get_by_role("button", name="Plain", exact=True)
        button.click()
        assert page.evaluate(visible) == [[True] * 3 + [False] * 3 + [True] * 3] * 5
        assert button.get_attribute("aria-pressed") == "false"
        button.press("Enter")
        assert page.evaluate(visible) == [[True] * 9] * 5


def test_a_finger_on_a_curve_moves_the_page(page_file):
    with opened(page_file, *SIZES["phone"], has_touch=True, is_mobile=True) as page:
        plot = page.locator(".bk-Canvas").first
        plot.scroll_into_view_if_needed()
        box, before = plot.bounding_box(), page.evaluate("scrollY")
        session, x, y = page.context.new_cdp_session(page), box["x"] + 150, box["y"] + 150
        for kind, way in [
            ("Start", 0),
            *(("Move", -20 * step) for step in range(1, 11)),
            ("End", 0),
        ]:
            points = [] if kind == "End" else [{"x": x, "y": y + way}]
            event = {"type": f"touch{kind}", "touchPoints": points}
            session.send("Input.dispatchTouchEvent", event)
            page.wait_for_timeout(20)
        page.wait_for_timeout(300)
        assert page.evaluate("scrollY") > before + 100


def test_it_is_dark_on_light_wherever_the_browser_is_dark(page_file):
    with opened(page_file, color_scheme="dark") as page:
        ink, paper = (
            [
                float(value)
                for value in page.evaluate(f"getComputedStyle(document.body).{one}")[4:-1].split(
                    ","
                )
            ]
            for one in ("color", "backgroundColor")
        )
        assert max(ink) < 64
        assert min(paper) > 250
