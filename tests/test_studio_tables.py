"""Published tables in the studio: states, numbers and what is to be started."""

import json
import shutil
from statistics import fmean, stdev
from urllib.parse import urlencode

import pytest

from browser import visited
from reslab.config import places
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from reslab.studio import scan
from reslab.studio.queue import Queues
from studio import AtHand, served, write_run
from synthetic import compose_once

pytestmark = pytest.mark.slow  # for the table's runs are trained first

ROWS = ("Skip", "No skip", "Skip again")


@pytest.fixture(scope="module")
def folder(narrow_table, tmp_path_factory):
    """A copy of the runs, to be changed."""
    copy = tmp_path_factory.mktemp("narrow") / "copy"
    shutil.copytree(narrow_table, copy)
    return copy


@pytest.fixture(autouse=True)
def _own_tables(folder, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [folder / "conf"])
    compose_once(monkeypatch)


@pytest.fixture
def cells(folder) -> dict[tuple[str, int], str]:
    """The run of each row and seed, as `reslab reproduce` wrote it down."""
    content = json.loads((folder / "outputs/tables/narrow/digits/table.json").read_text())
    named = {(one["model"], one["seed"]): one["run"].rpartition("/")[2] for one in content["cells"]}
    assert len(named) == 6
    return named


@pytest.fixture
def runs(folder, tmp_path):
    """A folder with all of the table's runs."""
    shutil.copytree(folder / "outputs/runs", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def studio(runs):
    with served(runs, worker=AtHand()) as studio:
        yield studio


def asked(studio, **parameters):
    return studio.ask(f"/api/tables/cells?{urlencode({'table': 'narrow', **parameters})}")


def found(studio, **parameters) -> dict:
    answer = asked(studio, **parameters)
    assert answer.status == 200, answer.body
    return answer.json


def states(content: dict) -> dict[tuple[str, int], tuple[str, str]]:
    return {
        (row["texts"][0], cell["seed"]): (cell["state"], cell["run"])
        for row in content["rows"]
        for cell in row["cells"]
    }


def test_a_table_s_numbers_are_those_of_its_runs_records(studio, runs, cells):
    content = found(studio)
    assert content["counts"] == {"finished": 6}
    assert (content["start"], content["left"]) == ([], "")
    at = content["columns"].index("Test acc., %")
    for row in content["rows"]:
        name = row["texts"][0]
        accuracies = [
            100
            * json.loads((runs / cells[name, seed] / "metrics.json").read_text())["test/accuracy"]
            for seed in (0, 1)
        ]
        assert row["texts"][at] == f"{fmean(accuracies):.2f} ± {stdev(accuracies):.2f}"
    assert [row["texts"][0] for row in content["rows"]] == list(ROWS)
    assert states(content) == {cell: ("finished", run) for cell, run in cells.items()}
    headings, pairs = content["pairs"]
    assert [row[0] for row in pairs] == ["Skip - No skip", "Skip - Skip again"]
    assert headings[0] == "Pair"


def test_what_is_missing_failed_and_running_is_told_and_what_to_start(studio, runs, cells):
    shutil.rmtree(runs / cells["Skip", 1])
    failed = runs / cells["No skip", 0]
    (failed / "metrics.json").unlink()
    (failed / "failure.txt").write_text("the loss is nan\n\nTraceback ...\n")
    running = RunDirectory(runs / cells["No skip", 1])
    running.record_file.unlink()
    (runs / cells["Skip again", 0] / "predictions.npz").write_bytes(b"damaged")
    with running.locked():
        content = found(studio)
    told = {cell: state for cell, (state, _) in states(content).items()}
    assert told == {
        ("Skip", 0): "finished",
        ("Skip", 1): "missing",
        ("No skip", 0): "failed",
        ("No skip", 1): "running",
        ("Skip again", 0): "damaged",
        ("Skip again", 1): "finished",
    }
    assert content["counts"] == {
        **{"damaged": 1, "failed": 1, "finished": 2, "missing": 1, "running": 1}
    }
    assert content["start"] == [
        {"name": cells["Skip", 1], "overrides": ["recipe=skip", "seed=1"]},
        {"name": cells["No skip", 0], "overrides": ["recipe=plain", "seed=0"]},
    ], "neither what runs nor what its owner may want to look at"
    (why,) = [cell["why"] for cell in content["rows"][1]["cells"] if cell["state"] == "failed"]
    assert why == "the loss is nan"
    assert content["left"].startswith("about ")


def test_what_has_not_changed_is_not_read_again_and_what_has_is(studio, runs, cells, monkeypatch):
    from reslab.tables import collect as module

    read = []
    collect = module.collect
    monkeypatch.setattr(module, "collect", lambda table: read.append(table) or collect(table))
    assert found(studio) == found(studio)
    assert len(read) == 1
    shutil.move(runs / cells["Skip", 1], runs.parent / "away")
    assert found(studio)["counts"] == {"finished": 5, "missing": 1}
    assert len(read) == 2
    shutil.move(runs.parent / "away", runs / cells["Skip", 1])
    assert found(studio)["counts"] == {"finished": 6}


def test_changes_are_those_of_reproduce_and_the_command_says_so(studio):
    content = found(studio, quick="1")
    assert content["command"] == "reslab reproduce narrow --quick"
    assert content["counts"] == {"missing": 3}
    content = found(studio, **{"with": "seed=5 optimizer.lr=0.5"})
    assert content["command"] == "reslab reproduce narrow seed=5 optimizer.lr=0.5"
    overrides = [one["overrides"] for one in content["start"]]
    assert overrides[0] == ["recipe=skip", "seed=5", "optimizer.lr=0.5"]
    assert len(overrides) == 3


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"table": "narow"}, "there is no table narow"),
        ({"table": "../table/narrow"}, "there is no table"),
        ({"with": "runs_dir=/etc"}, "runs_dir is the studio's own"),
        ({"with": "++runs_dir=/etc"}, "runs_dir is the studio's own"),
        ({"with": "hydra.searchpath=[file:///etc]"}, "hydra.searchpath is the studio's own"),
        ({"with": "'unclosed"}, "No closing quotation"),
        ({"with": "no.such=1"}, "no.such"),
        ({"with": "optimizer.lr=1,2"}, "a table sweeps over seeds alone"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(studio, parameters, said):
    answer = asked(studio, **parameters)
    assert answer.status == 422
    assert said in answer.json["error"]
    assert "\n" not in answer.json["error"]


@pytest.mark.long
def test_what_is_refused_stands_in_the_table_s_place_until_something_else_is_asked(studio):
    with visited(f"{studio.address}#tables?table=narrow") as page:
        page.set_default_timeout(60_000)
        asked = []
        page.on("request", lambda one: "tables/cells" in one.url and asked.append(one.url))
        changes = page.get_by_label("Changes")
        changes.fill("nonsense=1")
        changes.press("Enter")
        page.get_by_text("there is no option nonsense").wait_for()
        assert not page.get_by_text("Composing").is_visible()
        page.wait_for_timeout(4000)
        assert len([one for one in asked if "nonsense" in one]) == 1
        changes.fill("")
        changes.press("Enter")
        page.get_by_role("table").first.wait_for()
        assert not page.get_by_text("there is no option nonsense").is_visible()
        assert len([one for one in page.problems if "422" not in one]) == 0


def test_every_table_is_listed_reslab_s_and_a_user_s(studio):
    listed = {one["name"]: one for one in studio.ask("/api/tables").json["tables"]}
    assert {"he2016", "liu_goh", "virakden", "narrow"} <= listed.keys()
    assert listed["narrow"]["title"] == "Narrow & short"
    assert listed["narrow"]["quick"] == ["seed=0", "trainer.max_epochs=1"]


def test_a_table_that_cannot_be_read_is_named_beside_the_others(studio, tmp_path, monkeypatch):
    (tmp_path / "table").mkdir()
    (tmp_path / "table/broken.yaml").write_text("title: [1\n")
    (tmp_path / "table/lacking.yaml").write_text("title: mine\n")
    monkeypatch.setattr(places, "_own_folders", [tmp_path])
    content = studio.ask("/api/tables").json
    assert {"he2016", "liu_goh"} <= {one["name"] for one in content["tables"]}
    broken, lacking = content["faults"]
    assert "broken.yaml, line 2: this is not YAML" in broken
    assert "lacking.yaml: the table lacks seeds" in lacking


def test_what_is_missing_is_started_by_the_page_as_the_table_has_it(
    studio, runs, cells, monkeypatch
):
    monkeypatch.setattr(Queues, "work", lambda queues: None)  # so that it waits, to be looked at
    lacks = {
        cells["Skip", 1]: ("recipe=skip", "seed=1"),
        cells["No skip", 0]: ("recipe=plain", "seed=0"),
    }
    for name in lacks:
        shutil.rmtree(runs / name)
    with visited(f"{studio.address}#tables?table=narrow") as page:
        page.get_by_role("button", name="Start 2 runs").click(timeout=60_000)
        page.wait_for_function("() => location.hash.startsWith('#train')")
        queued = Queues(runs, set).read().entries
        place = f"runs_dir={runs.resolve()}"
        assert {one.name: one.overrides for one in queued} == {
            name: (*overrides, place) for name, overrides in lacks.items()
        }
        assert page.problems == []


def test_the_table_that_is_shown_at_first_has_runs_if_any_has(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "SECONDS_BETWEEN_LOOKS", 0)
    with served(tmp_path) as studio:
        first = lambda: studio.ask("/api/tables").json["first"]  # noqa: E731
        assert first() == "liu_goh"
        folder = write_run(tmp_path, "of-none")
        assert first() == "liu_goh"
        Request.here(["dataset=digits"], "resnet3").write(folder / "request.json")
        folder.touch()
        write_run(tmp_path, "another")
        assert first() == "resnet3"


@pytest.mark.long
def test_a_number_opens_its_runs_in_a_browser(studio, runs, cells):
    """Also what is missing shows by itself."""
    with visited(f"{studio.address}#tables?table=narrow") as page:
        row = page.locator("tbody tr", has_text="No skip").first
        row.wait_for(timeout=60_000)
        assert page.get_by_text("6 finished").is_visible()
        shutil.rmtree(runs / cells["Skip", 1])
        page.get_by_text("1 missing", exact=True).first.wait_for()
        assert page.get_by_text("5 finished").is_visible()
        row.get_by_role("link", name="0 finished").wait_for()  # a seed's own
        row.locator("td").nth(1).get_by_role("link").click()
        page.wait_for_function("() => location.hash.includes('run=')")
        view, _, parameters = page.url.rpartition("#")[2].partition("?")
        assert view in ("watch", "runs")
        assert parameters == urlencode({"run": [cells["No skip", seed] for seed in (0, 1)]}, True)
        page.go_back()
        page.get_by_role("link", name="Narrow & short").wait_for()
        page.get_by_label("Quick scale").check()
        page.get_by_text("reslab reproduce narrow --quick").wait_for()
        assert "quick=1" in page.url
        page.reload()
        page.get_by_text("reslab reproduce narrow --quick").wait_for()
        page.get_by_label("Changes").fill("optimizer.lr=nonsense=")
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("status").get_by_text("nonsense").wait_for()
        refused = "the server responded with a status of 422"
        assert [one for one in page.problems if refused not in one] == []
