"""The studio's page, driven in a real browser."""

import time
from contextlib import ExitStack

import pytest

from browser import seconds_to_open, visited
from studio import served, write_run

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1<script>"
ACCURACIES = {f"seed-{seed}": 0.9 + seed / 100 for seed in range(3)}


def write_runs(folder):
    for name, accuracy in ACCURACIES.items():
        write_run(folder, name, seed=int(name[-1]), test=accuracy)
    write_run(folder, "alone", lr=0.2, test=0.85)
    write_run(folder, "broken", lr=0.3, failure="the loss is nan in epoch 2: <b>lower</b> lr")
    write_run(folder, HOSTILE, lr=0.4)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    write_runs(folder)
    with served(folder) as studio:
        yield studio


@pytest.fixture
def page(studio):
    with visited(f"{studio.address}#runs") as page:
        page.wait_for_selector("tbody tr")
        yield page
        assert page.problems == []
        assert not page.evaluate("() => window.hacked")


def named(page) -> list[str]:
    return page.locator("tbody tr").evaluate_all("(rows) => rows.map((one) => one.dataset.name)")


def accuracies(page) -> list[str]:
    return page.locator("tbody td[data-name='Test, %']").all_inner_texts()


def until_there_are(page, number: int, within: float = 10) -> None:
    page.wait_for_function(
        "(number) => document.querySelectorAll('tbody tr').length == number",
        arg=number,
        timeout=1000 * within,
    )


def test_seeds_are_folded_and_open_by_mouse_and_by_keyboard(page):
    until_there_are(page, 4)
    row = page.locator("tbody tr", has_text="3 seeds")
    assert "92.00" not in accuracies(page)
    assert "91.00 ± 1.00" in row.inner_text()
    row.get_by_role("button").click()
    assert {"90.00", "91.00", "92.00"} <= set(accuracies(page))
    row.focus()
    page.keyboard.press("ArrowLeft")
    until_there_are(page, 4)
    page.keyboard.press("ArrowRight")
    until_there_are(page, 7)
    assert page.evaluate("() => document.activeElement.dataset.name").startswith("seeds of")
    page.get_by_label("Fold seeds").uncheck()
    until_there_are(page, 6)


@pytest.mark.parametrize(("down", "up"), [("j", "k"), ("ArrowDown", "ArrowUp")])
def test_keys_move_through_the_runs_from_anywhere_but_a_field(page, down, up):
    here = lambda: page.evaluate("() => document.activeElement.dataset.name")  # noqa: E731
    names = named(page)
    for key, at in [(down, 0), (down, 1), (down, 2), (up, 1)]:
        page.keyboard.press(key)
        assert here() == names[at]
    page.get_by_role("button", name="Filter").focus()
    page.keyboard.press(down)
    assert here() == names[1], "where one was last"
    page.keyboard.press("Space")
    page.get_by_label("Search").focus()
    page.keyboard.press(down)
    assert page.evaluate("() => document.activeElement.type") == "search"
    page.get_by_label("Search").fill("")
    page.get_by_role("link", name="Watch").first.focus()
    page.keyboard.press(f"Control+{down}")
    assert here() is None, "what is the browser's stays the browser's"


def test_of_folded_seeds_some_may_be_selected(page, studio):
    page.goto(f"http://127.0.0.1:{studio.port}/#runs?run=seed-1")
    page.reload()
    box = page.locator("tbody tr", has_text="3 seeds").get_by_role("checkbox")
    page.get_by_text("1 selected").wait_for()
    assert box.evaluate("(one) => [one.checked, one.indeterminate]") == [False, True]
    box.click()
    page.get_by_text("3 selected").wait_for()
    assert box.evaluate("(one) => [one.checked, one.indeterminate]") == [True, False]


@pytest.mark.parametrize("width", [390, 1280])
def test_what_to_do_with_the_selected_covers_no_row_of_a_short_list(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("tbody input").last.check()
    page.evaluate("() => { scrollTo(0, 1e6); document.querySelector('.tall').scrollTo(0, 1e6) }")
    row = page.locator("tbody tr").last.bounding_box()
    assert row["y"] + row["height"] <= page.get_by_role("toolbar").bounding_box()["y"]


@pytest.mark.parametrize("view", ["Runs", "Tables", "Use"])
def test_on_a_phone_the_view_that_is_shown_is_in_sight_in_the_navigation(page, studio, view):
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"http://127.0.0.1:{studio.port}/#{view.lower()}")
    link = page.get_by_role("navigation", name="Views").get_by_role("link", name=view)
    page.wait_for_function("(view) => document.title.startsWith(view)", arg=view)
    inside, at = link.locator("xpath=..").bounding_box(), link.bounding_box()
    assert inside["x"] - 1 <= at["x"] < at["x"] + at["width"] <= inside["x"] + inside["width"] + 1


def test_a_heading_sorts_and_what_is_not_known_is_last(page):
    page.get_by_label("Fold seeds").uncheck()
    heading = page.get_by_role("button", name="Test, %")
    heading.click()
    assert accuracies(page) == ["92.00", "91.00", "90.00", "85.00", "", ""]
    heading.press("Enter")
    assert accuracies(page) == ["85.00", "90.00", "91.00", "92.00", "", ""]
    assert (
        page.get_by_role("columnheader", name="Test, %").get_attribute("aria-sort") == "ascending"
    )
    page.get_by_role("button", name="Run", exact=True).click()
    texts = page.locator("tbody .keys:first-of-type").all_inner_texts()
    assert texts == sorted(texts)


@pytest.mark.long
def test_filters_search_and_states_leave_what_they_name_and_the_address_says_so(page):
    page.get_by_label("Fold seeds").uncheck()
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Filter Test, %").fill(">= 91")
    assert set(named(page)) == {"seed-1", "seed-2"}
    page.get_by_label("Filter Seed").fill("=1")
    assert named(page) == ["seed-1"]
    page.reload()
    until_there_are(page, 1)
    assert named(page) == ["seed-1"]
    other = page.context.new_page()
    other.goto(page.url)
    until_there_are(other, 1)
    assert named(other) == ["seed-1"]
    page.get_by_label("Filter Seed").fill("")
    page.get_by_label("Filter Test, %").fill("")
    page.keyboard.press("Escape")
    page.get_by_label("Search").fill("LOSS nan")
    assert named(page) == ["broken"]
    page.get_by_label("Search").fill("")
    page.get_by_role("button", name="1 failed").click()
    assert named(page) == ["broken"]
    page.get_by_label("Search").fill("nothing of this kind")
    assert page.get_by_text("No run fits").is_visible()
    page.get_by_role("link", name="Show all").click()
    until_there_are(page, 4)


def test_the_table_is_used_by_keyboard(page):
    page.get_by_role("button", name="Test, %").click()  # the folded seeds come first
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.type") == "search"
    page.locator("tbody tr").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    second = "alone"
    selected = page.locator("tbody tr[aria-selected=true]")
    assert [one.get_attribute("data-name") for one in selected.all()] == [second]
    assert page.get_by_text("1 selected").is_visible()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("() => document.activeElement.dataset.name") == named(page)[-2]
    page.reload()
    selected.wait_for()
    assert selected.get_attribute("data-name") == second
    page.get_by_role("button", name="Clear").click()
    assert selected.count() == 0


def test_the_bar_is_skipped_by_keyboard_and_the_view_stays(page):
    page.get_by_label("Search").fill("nan")
    page.wait_for_function("() => location.hash.includes('q=nan')")
    address = page.url
    page.evaluate("() => document.activeElement.blur()")
    page.get_by_role("link", name="Skip to the content").press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"
    assert page.url == address
    assert named(page) == ["broken"]


def test_the_bar_leads_back_to_a_view_as_it_was_left(page):
    bar = page.get_by_role("navigation", name="Views")
    page.get_by_label("Fold seeds").uncheck()
    page.get_by_label("Search").fill("seed")
    page.get_by_role("checkbox", name="Select seed-1").check()
    until_there_are(page, 3)
    left = page.url
    bar.get_by_role("link", name="Watch").click()
    page.get_by_role("heading", name="No run is selected").wait_for()
    bar.get_by_role("link", name="Runs").click()
    until_there_are(page, 3)
    assert page.url == left
    assert page.get_by_label("Search").input_value() == "seed"
    assert not page.get_by_label("Fold seeds").is_checked()
    assert page.get_by_text("1 selected").is_visible()


def test_what_is_false_of_an_element_is_left_out_whatever_its_kind(page):
    made = """async () => (await import("/api.js"))
      .el("a.x", {target: false, title: null, hidden: false, draggable: true}, false, "text").outerHTML"""
    assert page.evaluate(made) == '<a draggable="true" class="x">text</a>'


def test_what_is_drawn_again_leaves_alone_what_is_the_same_or_in_use(page):
    """Of a list whose first entry goes, nobody's press or typing is taken for another's."""
    was, now = page.evaluate(
        """async () => {
          const {put} = await import("/drawn.js")
          const place = document.querySelector("main").appendChild(document.createElement("div"))
          const entry = (name, done) => `<li id="${name}"><span>${done}</span><button>${name}</button></li>`
          const whole = (entries, value) => `<details><summary>More</summary></details>
            <input name="a" value="${value}"><input name="b" value="${value}"><ol>${entries}</ol>`
          put(place, whole(entry("one", 1) + entry("two", 1), "before"))
          const [first, second] = place.querySelectorAll("button"), [a, b] = place.querySelectorAll("input")
          place.querySelector("details").open = true
          second.focus()
          put(place, whole(entry("one", 2) + entry("two", 1), "before"))
          const was = [first.isConnected, document.activeElement == second, place.querySelector("span").textContent]
          a.focus()
          a.value = "typed"
          put(place, whole(entry("two", 1), "after"))
          return [was, [first.isConnected, a.value, b.value, place.querySelector("details").open,
            place.querySelectorAll("li").length]]
        }"""
    )
    assert was == [True, True, "2"]
    assert now == [False, "typed", "after", True, 1]


def test_what_is_drawn_again_is_chosen_as_it_says_and_moves_with_what_it_is_known_by(page):
    """Also what has been used, whose attributes a browser heeds no more."""
    seen = page.evaluate(
        """async () => {
          const {put} = await import("/drawn.js")
          const place = document.querySelector("main").appendChild(document.createElement("div"))
          const options = (chosen, ...all) => all.map((one) =>
            `<option value="${one}" ${one == chosen ? "selected" : ""}>${one}</option>`).join("")
          const radios = (chosen) => ["a", "b"].map((one) =>
            `<input type="radio" name="r" aria-label="${one}" value="${one}" ${one == chosen ? "checked" : ""}>`).join("")
          const whole = (before, chosen, radio, button) => `${before}<select name="s">${chosen}</select>
            ${radios(radio)}<input type="number" name="n" value="1"><span>${button}</span>
            <details id="more"><summary>More</summary></details>`
          const press = (name) => `<button aria-label="${name}">${name}</button>`
          const [select, more, number] = ["select", "details", "[name=n]"]
            .map((one) => () => place.querySelector(one))
          const seen = []
          put(place, whole("", options("x", "x", "y", "z"), "a", press("Earlier") + press("Remove")))
          more().open = true
          for (const one of ["y", "x", "z", "y"]) { // a user chooses, and is answered so
            select().value = one
            put(place, whole("", options(one, "x", "y", "z"), "a", press("Earlier") + press("Remove")))
            seen.push(select().value == one)
          }
          place.querySelector("[aria-label=b]").click()
          number().value = 99 // which is refused
          const [earlier] = place.querySelectorAll("button"), kept = more()
          earlier.focus()
          put(place, whole('<details id="first"></details>', options("q", "q", "y"), "a", press("Stop")))
          seen.push(place.querySelector("[name=r]:checked").value, select().value, number().value,
            earlier.isConnected, more().id, place.querySelector("#more") == kept && kept.open,
            place.querySelectorAll("details").length, place.textContent.match(/Stop|Earlier|Remove/g).join())
          return seen
        }"""
    )
    assert seen == [*[True] * 4, "a", "q", "1", False, "first", True, 2, "Stop"]


def test_on_a_phone_runs_are_sorted_by_any_column_and_say_by_which(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("Fold seeds").uncheck()
    heading = page.get_by_role("button", name="Test, %")
    heading.scroll_into_view_if_needed()
    heading.click()
    assert accuracies(page) == ["92.00", "91.00", "90.00", "85.00", "", ""]
    page.locator("thead").evaluate("(one) => one.scrollTo(0, 0)")
    at = heading.bounding_box()
    assert 0 < at["x"] < at["x"] + at["width"] < 390, "what they are sorted by comes first"


def test_names_and_reasons_are_text_and_a_failure_says_why_in_its_place(page):
    row = page.locator("tbody tr", has_text="failed")
    assert row.get_by_text("the loss is nan in epoch 2: <b>lower</b> lr").is_visible()
    page.get_by_label("Fold seeds").uncheck()
    assert HOSTILE in named(page)
    assert page.locator("tbody img, tbody script, tbody b").count() == 0


def test_a_new_run_shows_by_itself_and_takes_neither_focus_nor_selection(page, studio):
    row = page.locator("tbody tr").nth(2)
    row.get_by_role("checkbox").check()
    row.focus()
    kept = row.get_attribute("data-name")
    opening = seconds_to_open(page, "tbody tr")
    before = time.monotonic()
    folder = write_run(studio.runs, "new", lr=9)
    until_there_are(page, 5)
    assert time.monotonic() - before < 2 + opening  # it looks every second, and is drawn anew
    assert page.evaluate("() => document.activeElement.dataset.name") == kept
    assert page.locator("tbody tr[aria-selected=true]").get_attribute("data-name") == kept
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    until_there_are(page, 4)


def test_of_two_tabs_each_stays_true_and_one_that_is_closed_is_not_missed(studio):
    with ExitStack() as browser:
        first = browser.enter_context(visited(f"{studio.address}#runs"))
        with visited(f"{studio.address}#runs") as second:
            for tab in (first, second):
                until_there_are(tab, 4)
            folder = write_run(studio.runs, "new", lr=9)
            for tab in (first, second):
                until_there_are(tab, 5)
                assert tab.problems == []
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        until_there_are(first, 4)
        assert first.problems == []


def test_a_page_outlives_its_server_and_goes_on_with_the_next(tmp_path):
    write_runs(tmp_path)
    with ExitStack() as browser:
        with served(tmp_path) as first:
            page = browser.enter_context(visited(f"{first.address}#runs?q=digits"))
            page.get_by_role("checkbox", name="Select alone").check()
        page.get_by_text("The studio does not answer").wait_for()
        assert page.locator("tbody tr[aria-selected=true]").count() == 1, "what is there stays"
        write_run(tmp_path, "meanwhile", lr=9)
        with served(tmp_path, first.port):
            until_there_are(page, 5, within=5)
            page.get_by_text("The studio does not answer").wait_for(state="hidden")
            assert page.get_by_label("Search").input_value() == "digits"
            (row,) = page.locator("tbody tr[aria-selected=true]").all()
            assert row.get_attribute("data-name") == "alone"


@pytest.mark.long
def test_a_view_that_is_opened_while_the_server_is_away_is_there_when_it_is_again(tmp_path):
    write_runs(tmp_path)
    with ExitStack() as browser:
        with served(tmp_path) as first:
            page = browser.enter_context(visited(f"{first.address}#tables"))
            pages = {"Runs": page}
            for view in ("Watch", "Use", "Compare"):
                pages[view] = page.context.new_page()
                pages[view].goto(page.url)
            for page in pages.values():
                page.get_by_role("heading", name="Tables").wait_for()
            page.wait_for_timeout(4000)  # in which it has loaded what other views need
        for view, page in pages.items():
            page.locator("#views").get_by_role("link", name=view).click()
            page.get_by_text("The studio does not answer").wait_for()
        with served(tmp_path, first.port):
            for view, page in pages.items():
                page.get_by_role("heading", name=view).wait_for(timeout=5000)
                page.get_by_text("The studio does not answer").wait_for(state="hidden")


def test_without_runs_it_says_how_to_begin(tmp_path):
    with served(tmp_path) as studio, visited(studio.address) as page:
        page.get_by_text("No runs yet").wait_for()
        assert page.get_by_text("reslab train dataset=digits").is_visible()
        write_run(tmp_path, "first")
        until_there_are(page, 1)
        assert not page.get_by_text("No runs yet").is_visible()
        assert page.problems == []


def test_light_or_dark_is_the_system_s_until_it_is_switched_and_then_kept(studio):
    with visited(studio.address, color_scheme="dark") as page:
        background = "() => getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(background)
        page.get_by_role("button", name="Light").click()
        light = page.evaluate(background)
        page.reload()
        assert page.evaluate(background) == light
        assert sum(map(int, dark[4:-1].split(","))) < 200 < sum(map(int, light[4:-1].split(",")))
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(background) == dark


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_nothing_is_out_of_sight_on_a_screen_of_any_width(page, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.get_by_role("button", name="Filter").click()
    page.locator("tbody input").first.check()
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    for one in page.locator("button:visible, input:visible, .keys:visible").all():
        if not one.locator("xpath=ancestor::thead").count():
            box = one.bounding_box()
            assert -1 < box["x"] < box["x"] + box["width"] <= width + 1


@pytest.mark.long
def test_hundreds_of_runs_are_scrolled_through_and_counted(tmp_path):
    for at in range(320):
        write_run(tmp_path, f"run-{at:03}", lr=at)
    with served(tmp_path) as studio, visited(f"{studio.address}#runs?sort=0") as page:
        page.get_by_role("button", name="320 interrupted").wait_for()
        until_there_are(page, 150)
        page.locator(".scroll").evaluate("(one) => one.scrollTo(0, 1e6)")
        until_there_are(page, 300)
        page.locator("tbody tr").last.focus()
        page.keyboard.press("End")
        page.locator(".scroll").evaluate("(one) => one.scrollTo(0, 1e6)")
        until_there_are(page, 320)
        assert page.problems == []
