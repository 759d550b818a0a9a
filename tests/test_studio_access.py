"""What a screen reader, a keyboard and weak eyes need, by axe-core's rules, in every view."""

import shutil

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from browser import visited
from reslab.analyze.kinds import analyze
from studio import AtHand, served, trial, write_run, write_search
from training import only_run

pytestmark = pytest.mark.slow

# A view to what it has once it is filled, with nothing chosen and with runs.
VIEWS = {
    "runs": ("tbody tr", "tbody tr[aria-selected=true]"),
    "watch": (".empty", ".bk-Canvas"),
    "compare": (".empty", ".compare tbody tr"),
    "train": (".field input", ".will dd"),
    "tables?table=resnet3": (".seeds", ".seeds"),
    "searches?search=lr": (".history circle", ".history circle"),
    "use": (".pad canvas", ".answers progress"),
}
ASKED = ("points=3", "line_points=3", "images=20", "split=test")
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def studio(trained_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "runs"
    shutil.copytree(trained_once / "outputs/runs", folder)
    for seed in range(2):
        write_run(folder, f"seed-{seed}", seed=seed, test=0.9)
    write_run(folder, "other", lr=0.2, test=0.8)
    write_run(folder, "broken", lr=0.3, failure="the loss is nan")
    trained = only_run(trained_once).name
    analyze([str(folder / trained)], "landscape", ASKED, output=folder.parent / "analyses")
    trials = [trial(0, value=0.5), trial(1, "pruned", 0.4), trial(2, "failed", reason="no disk")]
    write_search(folder, "lr", trials, command="reslab train", importances={"optimizer.lr": 1})
    with served(folder, worker=AtHand()) as studio:
        yield studio


def faults(page) -> list[str]:
    if not page.evaluate("() => !!window.axe"):  # a view may have replaced the document
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate("() => axe.run({resultTypes: ['violations']})")["violations"]
    return [f"{one['id']}: {one['nodes']}" for one in found if one["impact"] in SERIOUS]


@pytest.mark.long
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 390)], ids=["light", "dark on a phone"]
)
def test_no_view_has_a_serious_fault_empty_or_filled(studio, trained_once, scheme, width):
    names = [only_run(trained_once).name, "seed-0", "seed-1", "other"]
    picture = next((trained_once / "pictures/3").glob("*.png"))
    with visited(studio.address, width=width, color_scheme=scheme) as page:
        for view, contents in VIEWS.items():
            for runs, content in zip(([], names), contents, strict=True):
                runs = runs[:1] if view == "use" else runs
                query = "&".join(f"run={name}" for name in runs)
                page.goto(f"{studio.address}#{view}{'&' if '?' in view else '?'}{query}")
                if view == "use" and runs:
                    page.locator("input[type=file]").set_input_files(picture)
                page.locator(f"{content} >> visible=true").first.wait_for(timeout=60_000)
                assert faults(page) == [], (view, query)
                if view == "watch" and runs:
                    page.locator(".analyses .bk-Figure >> visible=true").first.wait_for()
                    assert faults(page) == [], "analyses"


def test_the_rules_find_what_is_wrong(studio):
    with visited(studio.address) as page:
        page.wait_for_selector("h1")
        page.evaluate(
            "() => document.querySelector('main').append(document.createElement('input'))"
        )
        assert any(one.startswith("label:") for one in faults(page))
