"""What a screen reader, a keyboard and weak eyes need, by axe-core's rules, in every view."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from browser import visited
from studio import served, write_run

pytestmark = pytest.mark.slow

VIEWS = ("runs", "watch", "compare", "train", "tables?table=resnet3", "use")
SELECTED = "run=seed-0&run=seed-1&run=other"
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(2):
        write_run(folder, f"seed-{seed}", seed=seed, test=0.9)
    write_run(folder, "other", lr=0.2, test=0.8)
    write_run(folder, "broken", lr=0.3, failure="the loss is nan")
    with served(folder) as studio:
        yield studio


def faults(page) -> list[str]:
    page.evaluate(AXE_SCRIPT)  # again and again: a view may have replaced the document
    found = page.evaluate("() => axe.run()")["violations"]
    return [f"{one['id']}: {one['nodes']}" for one in found if one["impact"] in SERIOUS]


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["light", "dark on a phone"]
)
def test_no_view_has_a_serious_fault_empty_or_filled(studio, scheme, width):
    with visited(studio.address, width=width, color_scheme=scheme) as page:
        for view in VIEWS:
            for more in ("", SELECTED):
                page.goto(f"{studio.address}#{view}{'&' if '?' in view else '?'}{more}")
                page.wait_for_selector("h1")
                page.wait_for_timeout(500)
                assert faults(page) == [], (view, more)


def test_the_rules_find_what_is_wrong(studio):
    with visited(studio.address) as page:
        page.wait_for_selector("h1")
        page.evaluate(
            "() => document.querySelector('main').append(document.createElement('input'))"
        )
        assert any(one.startswith("label:") for one in faults(page))
