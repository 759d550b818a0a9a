"""Searches in the studio: what each is, comes to and goes on with, whatever its record has in it."""

import json
import math
import os
import shutil
from contextlib import nullcontext
from urllib.parse import quote, urlencode

import pytest

from browser import visited
from cells import Listener
from reslab import locks
from reslab.progress import Progress
from reslab.runs.store import RunDirectory
from reslab.search import summary
from reslab.search.app import search
from reslab.studio import scan
from reslab.studio.history import ticks
from searching import faked  # noqa: F401  # a fixture
from studio import served, trial, write_run, write_search
from training import SMALL

TRIALS = [
    trial(0, value=0.5),
    trial(1, "pruned", 0.9),
    trial(2, value=0.75),
    trial(3, "failed", reason="the loss is nan"),
    trial(4, value=0.625),
]
RECIPE = "reslab train --config-dir=outputs/runs/searches/lr/conf recipe=lr"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(scan, "SECONDS_BETWEEN_LOOKS", 0)


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def studio(runs):
    with served(runs) as studio:
        yield studio
        assert studio.reporter.said == [], "no fault of its own"


def found(studio, name="", **headers) -> dict:
    answer = studio.ask(f"/api/searches?{urlencode({'search': name})}", **headers)
    assert answer.status == 200, answer.body
    return answer.json


def line(studio, name) -> dict:
    (one,) = [one for one in found(studio)["searches"] if one["name"] == name]
    return one


def test_a_search_is_told_with_its_trials_best_first(studio, runs):
    folder = write_search(runs, "lr", TRIALS, importances={"optimizer.lr": 0.75})
    os.utime(folder / "search.json", (0, 1e9))
    write_run(runs, "trial-2")
    one = line(studio, "lr")
    assert (one["ended"], one["asked"], one["pruned"], one["failed"]) == (5, 20, 1, 1)
    assert (one["best"], one["monitor"], one["changed"]) == ("75.00 %", "val/accuracy", 1e9)
    about = found(studio)["about"]
    rows = about["trials"]
    assert [row["number"] for row in rows] == [2, 4, 0, 1, 3], "a pruned one after the others"
    assert [row["number"] for row in rows if row["is_best"]] == [2]
    assert [row["run"] for row in rows if row["is_there"]] == about["watch"] == ["trial-2"]
    assert rows[0]["chosen"] == {"optimizer.lr": "0.001", "model.dropout": "0.2"}
    assert rows[-1]["reason"] == "the loss is nan"
    assert about["bounds"] == [
        {"key": "optimizer.lr", "text": "0.0001 to 0.1, logarithmic", "share": 0.75},
        {"key": "model.dropout", "text": "one of 0.0, 0.2", "share": None},
    ]
    assert about["by"] == "TPESampler, seed 0; MedianPruner"
    assert about["goes_on"].startswith("reslab search ")
    assert about["files"].keys() == {"search.json"}


def test_the_least_is_the_best_of_a_loss(studio, runs):
    trials = [trial(0, value=2.0), trial(1, value=0.25), trial(2, value=1.0)]
    write_search(runs, "loss", trials, monitor="val/loss", maximizes=False, best=1)
    about = found(studio)["about"]
    assert [row["value"] for row in about["trials"]] == ["0.25", "1", "2"]
    drawn = about["history"]
    tops = {dot["said"].partition(",")[0]: dot["top"] for dot in drawn["dots"]}
    assert tops["Trial 0"] < tops["Trial 2"] < tops["Trial 1"]
    assert len(drawn["lines"]) == 3, "along, down to the best, and along"


@pytest.mark.parametrize(
    ("trials", "more", "held", "state"),
    [
        (TRIALS, {}, True, "running"),
        (TRIALS, {"command": RECIPE}, True, "running"),
        (TRIALS, {"command": RECIPE}, False, "finished"),
        (TRIALS, {}, False, "interrupted"),
        (TRIALS, {"trials_asked": 5}, False, "interrupted"),
        (TRIALS[3:4], {}, False, "interrupted"),
        (TRIALS[3:4], {"trials_asked": 1}, False, "failed"),
        ([], {}, False, "interrupted"),
    ],
    ids=["searched", "gone on with", "ended", "left", "best untested", "begun", "vain", "empty"],
)
def test_the_state_of_a_search_is_whether_a_searcher_lives_and_it_has_found(
    studio, runs, trials, more, held, state
):
    folder = write_search(runs, "lr", trials, **more)
    lock = folder / "searcher-here-1-2.lock"
    lock.touch()  # a searcher's that is gone stays
    with locks.held(lock) if held else nullcontext():
        assert line(studio, "lr")["state"] == state
        assert found(studio)["about"]["state"] == state


def test_a_trial_that_goes_on_is_as_far_as_its_run_and_one_that_was_left_is_interrupted(
    studio, runs
):
    trials = [trial(0, "running"), trial(1, "running"), trial(2, "waiting", run=None)]
    folder = write_search(runs, "lr", trials)
    run = RunDirectory(write_run(runs, "trial-0", epochs=3))
    Progress(4, 10, 1, 2, 0.35, None, 0.1, None, 5.0, ()).write(run.progress_file)
    write_run(runs, "trial-1")

    def told():
        return [(one["state"], one["done"]) for one in found(studio)["about"]["trials"]]

    with run.locked():
        with locks.held(folder / "searcher-here-1-2.lock"):
            assert told() == [("running", 0.35), ("running", None), ("waiting", None)]
            about = found(studio)["about"]
            assert about["trials"][0]["epochs"] == "3"
            assert about["live"] == about["watch"] == ["trial-0"]
        assert told()[0] == ("running", 0.35), "which outlives its searcher"
    assert [state for state, _ in told()] == ["interrupted"] * 3


DEEP = "[" * 100_000 + "]" * 100_000
WHOLE = {"overrides", "bounds", "monitor", "seed", "sampler", "pruner", "maximizes"} | {
    *("trials_asked", "trials", "best", "command", "importances")
}
DAMAGED = {
    "empty": "",
    "cut": '{"study": "lr", "trials": [{"nu',
    "bytes": b"\xff\xfe\0\0",
    "list": "[]",
    "null": "null",
    "deep": DEEP,
    **{f"no {key}": {key: ...} for key in sorted(WHOLE)},
    **{
        f"null {key}": {key: None}
        for key in sorted(WHOLE - {"best", "command", "monitor", "maximizes"})
    },
    "text for trials": {"trials": "abc"},
    "text for trial": {"trials": ["abc"]},
    "trial without values": {"trials": [{"number": 1}]},
    "text for value": {"trials": [trial(0, value="high")]},
    "value too large": {"trials": [trial(0, value=10**400)]},
    "number too large": {"trials": [trial(10**400, value=0.5)]},
    "negative number": {"trials": [trial(-1, value=0.5)]},
    "infinite number of trials": {"trials_asked": math.inf},
    "text for bounds": {"bounds": {"optimizer.lr": "all"}},
    "half of bounds": {"bounds": {"optimizer.lr": {"low": 1}}},
    "list of importances": {"importances": [1]},
}


def spoil(folder, how) -> None:
    file = folder / "search.json"
    if isinstance(how, dict):
        content = json.loads(file.read_text()) | how
        content = {key: value for key, value in content.items() if value is not ...}
        how = json.dumps(content)
    file.write_bytes(how if isinstance(how, bytes) else how.encode())


@pytest.mark.parametrize("how", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_one_line_in_its_place_and_the_others_are_shown(studio, runs, how):
    write_search(runs, "whole", TRIALS)
    folder = write_search(runs, "lr", [trial(0, value=0.5)])
    assert line(studio, "lr")["problem"] == ""
    spoil(folder, how)
    problem = line(studio, "lr")["problem"]
    assert problem.startswith("lr/search.json is damaged, or no search's")
    assert "\n" not in problem
    answer = found(studio)
    assert [one["name"] for one in answer["searches"]] == ["whole", "lr"]
    assert answer["chosen"] == "whole"
    assert found(studio, "lr")["about"] is None
    page = studio.ask("/api/searches?search=lr", Accept="text/html")
    assert page.status == 200
    assert b"is damaged" in page.body


def test_what_stands_where_a_search_should_is_a_line_or_none(studio, runs, tmp_path, monkeypatch):
    assert found(studio) == {"searches": [], "chosen": "", "problem": "", "about": None}
    (runs / "searches/none").mkdir(parents=True)
    (runs / "searches/a-file").write_text("")
    (runs / "searches/folder/search.json").mkdir(parents=True)
    os.mkfifo(_emptied(runs, "pipe"))
    elsewhere = write_search(tmp_path / "others", "x", TRIALS)
    _emptied(runs, "linked").symlink_to(elsewhere / "search.json")
    (runs / "searches/linked-folder").symlink_to(elsewhere)
    _emptied(runs, "circle").symlink_to("search.json")
    write_search(runs, "large", TRIALS)
    monkeypatch.setattr(summary, "MOST_BYTES", 100)
    problems = {one["name"]: one["problem"] for one in found(studio)["searches"]}
    assert (
        problems.pop("large") == "large/search.json is larger than a search's is, and is not read"
    )
    for name in ("linked", "linked-folder"):
        said = f"{name}/search.json lies elsewhere by a link, and is not read"
        assert problems.pop(name) == said
    assert problems == {
        name: f"{name}/search.json is not there: the same `reslab search` command writes it"
        for name in ("none", "folder", "pipe", "circle")
    }


def _emptied(runs, name):
    shutil.rmtree(folder := write_search(runs, name, []))
    folder.mkdir()
    return folder / "search.json"


@pytest.mark.parametrize(
    "value", [1e308, -1e308, 5e-324, 0.0, math.nan, math.inf, 0.5 + 1e-16, -3.0, 1e99]
)
def test_whatever_a_trial_came_to_is_drawn_or_left_out(studio, runs, value):
    trials = [trial(0, value=value), trial(1, value=0.5), trial(999_999_999, "pruned", 0.4)]
    write_search(runs, "lr", trials, best=1, monitor="val/loss")
    drawn = found(studio)["about"]["history"]
    for dot in drawn["dots"]:
        assert 0 <= dot["left"] <= 100
        assert 0 <= dot["top"] <= 100
    assert len(drawn["dots"]) == (2 if not abs(value) < 1e100 else 3)
    assert studio.ask("/api/searches", Accept="text/html").status == 200


def test_a_figure_s_places_are_its_trials_values(studio, runs):
    write_search(runs, "lr", TRIALS)
    drawn = found(studio)["about"]["history"]
    dots = {int(dot["said"].partition(",")[0].removeprefix("Trial ")): dot for dot in drawn["dots"]}
    values = {0: 0.5, 1: 0.9, 2: 0.75, 4: 0.625}
    assert dots.keys() == values.keys(), "one that failed came to nothing"
    scale = (dots[0]["top"] - dots[1]["top"]) / (0.9 - 0.5)
    for number, value in values.items():
        assert dots[number]["top"] == pytest.approx(
            dots[0]["top"] - scale * (value - 0.5), abs=0.01
        )
        step = (dots[4]["left"] - dots[0]["left"]) / 4
        assert dots[number]["left"] == pytest.approx(dots[0]["left"] + step * number, abs=0.01)
    for tick in drawn["beside"]:
        value = float(tick["text"].removesuffix(" %")) / 100
        assert tick["at"] == pytest.approx(dots[0]["top"] - scale * (value - 0.5), abs=0.01)
    assert {number: dot["kind"] for number, dot in dots.items()} == {
        **{0: "finished", 1: "pruned", 2: "best", 4: "finished"}
    }
    at = {number: (dot["left"], dot["top"]) for number, dot in dots.items()}
    corner = (at[2][0], at[0][1])
    end = (at[4][0], at[2][1])
    assert [(tuple(one["from"]), tuple(one["to"])) for one in drawn["lines"]] == [
        *((at[0], corner), (corner, at[2]), (at[2], end))
    ]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 3, [0, 1, 2, 3]),
        (0, 199, [0, 50, 100, 150]),
        (-0.3, 0.9, [0, 0.5]),
        (93.2, 97.1, [94, 95, 96, 97]),
        (7, 7, [7]),
    ],
)
def test_ticks_are_round_numbers(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_no_file_but_those_of_a_search_is_served(studio, runs, tmp_path):
    folder = write_search(runs, "lr", TRIALS)
    (folder / "journal.log").write_text("secret")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "search.html").symlink_to(tmp_path / "secret.html")
    (folder / "history.png").write_bytes(b"png")
    (runs / "searches/away").symlink_to(tmp_path)

    def ask(search, name):
        return studio.ask(f"/api/searches/file?{urlencode({'search': search, 'name': name})}")

    assert ask("lr", "history.png").body == b"png"
    assert json.loads(ask("lr", "search.json").body)["study"] == "lr"
    for search_, name in [
        ("lr", "journal.log"),
        ("lr", "../lr/history.png"),
        ("lr", "/etc/passwd"),
        ("lr", ""),
        ("../searches/lr", "history.png"),
        ("", "history.png"),
        ("..", "search.json"),
        (str(folder), "history.png"),
    ]:
        answer = ask(search_, name)
        assert answer.status == 404, (search_, name)
        assert "\n" not in answer.json["error"]
    for search_, name in [("lr", "search.html"), ("away", "secret.html"), ("lr", "importance.png")]:
        answer = ask(search_, name)
        assert answer.status in (404, 422)
        assert b"secret" not in answer.body.replace(b"secret.html", b"")
    assert studio.ask("/api/searches/file?search=lr&name=search.json", token=None).status == 403


HOSTILE = "<script>alert(1)<script>"


@pytest.mark.parametrize("name", [HOSTILE, '"><img src=x onerror=alert(1)>', "a\nb", "%2e%2e", "&"])
def test_a_name_is_text_and_leads_to_its_search(studio, runs, name):
    write_search(runs, name, [trial(0, value=0.5, run="../../x", chosen={name: name})])
    write_search(runs, "other", TRIALS)
    about = found(studio, name)["about"]
    assert about["trials"][0]["chosen"] == {name: name}
    assert not about["trials"][0]["is_there"], "no run of this folder"
    html = studio.ask(f"/api/searches?search={quote(name)}", Accept="text/html").body.decode()
    assert "<script" not in html
    assert "<img" not in html
    assert studio.ask(f"/api/searches/file?search={quote(name)}&name=search.json").status == 200


def test_a_search_that_is_not_there_is_said_and_the_others_are_listed(studio, runs):
    write_search(runs, "lr", TRIALS)
    for name in ("../lr", "/etc", "x" * 300):
        answer = found(studio, name)
        assert answer["problem"] == f"there is no search {name} in {runs}"
        assert answer["about"] is None
        assert len(answer["searches"]) == 1


def test_a_name_that_is_no_unicode_is_shown(studio, runs):
    os.makedirs(os.fsencode(runs) + b"/searches/\xff")
    assert found(studio)["searches"][0]["problem"]
    assert studio.ask("/api/searches", Accept="text/html").status == 200


@pytest.mark.long
def test_the_page_stays_true_by_itself_and_copies_what_goes_on(studio, runs):
    """From none to one that is searched, and what has come to its end."""
    permissions = ["clipboard-read", "clipboard-write"]
    with visited(f"{studio.address}#searches", permissions=permissions) as page:
        page.get_by_text("No searches yet").wait_for()
        assert page.get_by_text("reslab search dataset=digits").is_visible()
        folder = write_search(runs, "lr", TRIALS[:1])
        write_run(runs, "trial-0")
        with locks.held(folder / "searcher-here-1-2.lock"):
            page.get_by_role("img", name="val/accuracy of 1 trials").wait_for(timeout=10_000)
            assert page.locator(".chosen .running").is_visible()
            shutil.rmtree(folder)
            write_search(runs, "lr", TRIALS, command=RECIPE, importances={"optimizer.lr": 0.75})
            page.get_by_role("img", name="val/accuracy of 4 trials").wait_for()
        page.locator(".chosen .finished").wait_for(timeout=10_000)
        rows = page.locator("[aria-label=Trials] tbody tr")
        assert rows.first.inner_text().split()[:2] == ["2", "best"]
        assert page.get_by_label("Importance of optimizer.lr").get_attribute("value") == "0.75"
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == RECIPE
        rows.get_by_role("link", name="trial-0").click()
        page.wait_for_function("() => location.hash == '#watch?run=trial-0'")
        assert page.problems == []


@pytest.mark.slow
def test_another_search_is_chosen_by_its_name_and_what_is_hostile_runs_nowhere(studio, runs):
    hostile = [trial(0, value=0.5, run=HOSTILE, reason=HOSTILE, chosen={HOSTILE: HOSTILE})]
    write_search(runs, HOSTILE, hostile, command=HOSTILE, goes_on=HOSTILE, overrides=[HOSTILE])
    write_search(runs, "lr", TRIALS)
    with visited(f"{studio.address}#searches?search=lr") as page:
        page.on("dialog", lambda dialog: page.problems.append("a dialog"))
        page.get_by_role("link", name=HOSTILE).click()
        page.get_by_role("heading", name=HOSTILE).wait_for()
        assert page.get_by_text(HOSTILE).count() > 4
        page.reload()
        page.get_by_role("heading", name=HOSTILE).wait_for()
        assert page.problems == []


@pytest.mark.long  # for trials are processes
def test_a_search_is_seen_as_it_goes_on_and_all_of_what_it_leaves(faked):  # noqa: F811
    runs, seen = faked / "outputs/runs", []

    class Watcher(Listener):
        def say(self, text):
            super().say(text)
            if text.startswith("trial"):
                answer = found(studio)
                seen.append((answer["searches"][0]["state"], len(answer["about"]["trials"]), text))

    with served(runs) as studio:
        asked = (*SMALL, "trainer=cpu", "trainer.max_epochs=3", "search/pruner=none")
        asked = (*asked, "optimizer.lr=log(1e-4,1e-1)", "model.dropout=0.0,0.2")
        result = search([*asked, "search.trials=3", "search.name=lr"], Watcher())
        assert {state for state, _, _ in seen} == {"running"}
        assert [number for _, number, text in seen if "begun" in text] == [1, 2, 3]
        answer = found(studio)
        (one,), about = answer["searches"], answer["about"]
        assert (one["state"], one["ended"], one["asked"]) == ("finished", 3, 3)
        assert about["trials"][0]["run"] == result.directory.name
        assert about["command"].split() == list(result.command)
        assert about["goes_on"].startswith("reslab search ")
        assert about["files"].keys() == {
            *("search.html", "history.png", "importance.png", "search.json")
        }
        assert sum(one["share"] for one in about["bounds"]) == pytest.approx(1)
        with visited(f"{studio.address}#searches") as page:
            page.get_by_role("img", name="val/accuracy of 3 trials").wait_for()
            with page.expect_popup() as opened:
                page.get_by_role("link", name="The trials to explore").click()
            opened.value.wait_for_function("window.Bokeh?.documents[0]?.is_idle")
            assert opened.value.get_by_role("heading", name="lr").first.is_visible()
            with page.expect_download() as download:
                page.get_by_role("link", name="History as PNG").click()
            assert download.value.path().read_bytes().startswith(b"\x89PNG")
            assert page.problems == []
