"""What the studio's Train answers, and its page with real trainings in a browser."""

import json
import os
import re
import shlex
import signal
import time
from urllib.parse import urlencode

import pytest

from browser import seconds_to_open, visited
from reslab.config import compose, single_runs
from reslab.errors import UserError
from reslab.runs.control import resume
from reslab.runs.identity import run_name
from reslab.runs.store import RunDirectory, list_runs
from reslab.terminal.runs import print_runs
from studio import TINY, AtHand, Studio, served, until, write_run


def asked(studio, path, **content):
    return studio.ask(f"/api/{path}", json.dumps(content).encode())


def test_what_ended_before_its_test_as_it_was_asked_to_is_untested_and_not_interrupted(
    tmp_path, capsys, sleeping
):
    runs = tmp_path / "runs"
    (write_run(runs, "loser") / "untested.txt").touch()
    write_run(runs, "stopped", seed=1)
    (write_run(runs, "failed", seed=2, failure="the disk is full") / "untested.txt").touch()
    states = {one.name: one.state() for one in list_runs(runs)}
    assert states == {"loser": "untested", "stopped": "interrupted", "failed": "failed"}
    print_runs(list_runs(runs), runs)
    assert re.search(r"loser +untested", capsys.readouterr().out)
    with pytest.raises(UserError, match="`reslab train --from loser` reads the test set"):
        resume(RunDirectory(runs / "loser"))
    with served(runs) as studio:
        answer = studio.ask("/api/runs").json
        lines = {one["name"]: one for one in answer["lines"]}
        assert lines["loser"]["state"] == "untested"
        (seeds,) = (line for name, line in lines.items() if name.startswith("seeds of"))
        assert seeds["text"][1] == "1 untested, 1 interrupted, 1 failed"
        assert set(answer["states"]) >= {line["state"] for line in lines.values()}
        assert "is untested" in asked(studio, "runs/resume", runs=["loser"]).json["error"]
        assert asked(studio, "runs/rerun", runs=["loser"]).status == 200


def test_only_a_run_of_the_folder_is_stopped_or_gone_on_with(tmp_path, sleeping):
    runs = tmp_path / "runs"
    write_run(runs, "interrupted")
    write_run(runs, "finished", test=0.9)
    write_run(tmp_path / "others", "foreign")
    with served(runs) as studio:
        for name in ("../others/foreign", str(tmp_path / "others/foreign"), "none"):
            for action in ("stop", "resume", "rerun"):
                answer = asked(studio, f"runs/{action}", runs=[name])
                assert answer.status == 422
                assert "no run is called" in answer.json["error"]
        assert "is not running" in asked(studio, "runs/stop", runs=["interrupted"]).json["error"]
        assert "is finished" in asked(studio, "runs/resume", runs=["finished"]).json["error"]
        assert asked(studio, "runs/stop", runs="interrupted").status == 400
        assert asked(studio, "runs/resume", runs=["interrupted"]).status == 200
        assert asked(studio, "runs/rerun", runs=["finished"]).status == 200
        state = until(
            lambda: (s := studio.ask("/api/queue").json)["entries"][0]["state"] == "running" and s
        )
        first, second = state["entries"]
        assert (first["name"], second["name"]) == ("interrupted", "finished")
        assert second["overrides"].endswith("rerun=true")
        assert asked(studio, "queue/remove", ids=[first["id"], second["id"]]).status == 200
        until(lambda: not studio.ask("/api/queue").json["entries"])


@pytest.fixture
def answering(tmp_path, sleeping):
    with served(tmp_path / "runs", worker=AtHand()) as studio:
        yield studio
        ids = [one["id"] for one in studio.ask("/api/queue").json["entries"]]
        asked(studio, "queue/remove", ids=ids)
        until(lambda: not studio.ask("/api/queue").json["entries"])


def test_the_command_that_is_shown_asks_for_the_same_runs(answering):
    values = TINY | {"seed": "0,1", "optimizer.lr": "0.1", "trainer.limit_train_batches": "2"}
    found = asked(answering, "train/preview", values=values).json
    reslab, train, sweep, *overrides = shlex.split(found["command"])
    assert (reslab, train, sweep) == ("reslab", "train", "-m")
    assert [run_name(compose(one)) for one in single_runs(overrides, 9)] == found["names"]
    assert compose(single_runs(overrides, 9)[0]).runs_dir == str(answering.runs.resolve())
    assert found["time"] == "", "nothing is known yet"
    assert found["parameters"] == 1386


def test_a_value_that_is_given_twice_is_one_run(answering):
    found = asked(answering, "train/preview", values=TINY | {"seed": "0,0"}).json
    assert found["names"] == asked(answering, "train/preview", values=TINY).json["names"]
    assert " -m " in found["command"], "which the command line needs nevertheless"


def test_no_command_is_shown_while_anything_is_wrong(answering):
    """Without the wrong value it would be another run's."""
    for wrong in ({"optimizer.lr": "0"}, {"seed": "["}, {"model.widths": "[0]"}):
        found = asked(answering, "train/preview", values=TINY | wrong).json
        assert list(found["errors"]) == list(wrong)
        assert "command" not in found


@pytest.mark.slow
def test_what_is_in_the_queue_is_not_offered_to_be_started(answering):
    before = asked(answering, "train/preview", values=TINY | {"seed": "0,1"}).json
    assert (before["begun"], before["finished"]) == (0, 0)
    asked(answering, "train/start", values=TINY)
    assert asked(answering, "train/preview", values=TINY | {"seed": "0,1"}).json["begun"] == 1


def test_what_the_form_describes_is_queued_once(answering):
    values = TINY | {"seed": "0,1"}
    added = asked(answering, "train/start", values=values).json["added"]
    assert [one["name"] for one in answering.ask("/api/queue").json["entries"]] == added
    assert len(added) == 2
    answer = asked(answering, "train/start", values=values)
    assert answer.status == 422
    assert "is in the queue already" in answer.json["error"]
    (third,) = asked(answering, "train/start", values=TINY | {"seed": "1,2"}).json["added"]
    assert "-s2-" in third


def test_a_finished_run_is_not_started_again_by_the_form(answering):
    (name,) = asked(answering, "train/preview", values=TINY).json["names"]
    write_run(answering.runs, name, test=0.9)
    until(lambda: asked(answering, "train/preview", values=TINY).json["finished"] == 1)
    answer = asked(answering, "train/start", values=TINY)
    assert f"{name} is finished already" in answer.json["error"]


def test_of_a_table_its_own_cells_are_queued_and_nothing_that_is_sent_instead(answering):
    changes = "dataset=digits seed=3,4"
    table = {"table": "virakden", "quick": False, "with": changes}
    query = urlencode({"table": "virakden", "with": changes})
    lacks = answering.ask(f"/api/tables/cells?{query}").json["start"]
    names = [one["name"] for one in lacks]
    for wrong in (
        {"names": 3},
        {"names": names, "table": 3},
        {"names": names, "quick": "1"},
        {"names": names, "with": ["seed=3"]},
        {"cells": [{"name": names[0], "overrides": ["hydra.run.dir=/tmp/x"]}]},
    ):
        assert asked(answering, "queue/add", **(table | wrong)).status == 400
    for typed in ("hydra.run.dir=/tmp/x", "++runs_dir=/tmp", "data_dir=/etc", "init_from=/etc",
                  "model._target_=os.system", "rerun=true", "--config-dir=/tmp"):  # fmt: skip
        answer = asked(answering, "queue/add", **table | {"names": names, "with": typed})
        assert answer.status == 422, typed
    answer = asked(answering, "queue/add", **table, names=["../elsewhere"])
    assert "none of these runs is one that virakden lacks" in answer.json["error"]
    assert answering.ask("/api/queue").json["entries"] == []
    assert asked(answering, "queue/add", **table, names=names[1:2]).json["added"] == names[1:2]
    (entry,) = answering.ask("/api/queue").json["entries"]
    assert run_name(compose(lacks[1]["overrides"])) == entry["name"]


def test_values_that_are_refused_start_nothing(answering):
    answer = asked(answering, "train/start", values=TINY | {"optimizer.lr": "-1"})
    assert answer.status == 422
    assert answer.json["error"].startswith("optimizer.lr must be")
    assert answering.ask("/api/queue").json["entries"] == []


def test_foreign_pages_start_nothing(tmp_path):
    with served(tmp_path) as studio:
        body = json.dumps({"values": TINY}).encode()
        for path in ("train/start", "runs/stop", "queue/remove"):
            assert studio.ask(f"/api/{path}", body, Origin="http://evil.example").status == 403
            assert studio.ask(f"/api/{path}", body, token=None).status == 403
            assert studio.ask(f"/api/{path}").status == 405
        assert studio.ask("/api/train/form", b'{"values": {"seed": 3}}').status == 400


# The page, with real trainings


@pytest.fixture
def studio(tmp_path):
    (tmp_path / "conf/recipe").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    studio = Studio(tmp_path)
    yield studio
    studio.kill()
    for lock in (tmp_path / "runs").glob("*/request.json"):
        request = RunDirectory(lock.parent).request()
        if request.is_alive:
            os.kill(request.pid, signal.SIGKILL)


def fill_in(page, **more):
    for key, value in more.items():
        page.get_by_label(key.replace("__", "."), exact=True).fill(value)


@pytest.mark.long
def test_a_hint_that_is_cut_is_whole_where_one_fills_in(answering):
    with visited(f"{answering.address}#train") as page:
        hint = page.locator("[id='about-seed']")
        hint.wait_for()
        is_cut = "(one) => one.scrollWidth > one.clientWidth"
        assert hint.evaluate(is_cut)
        page.get_by_label("seed", exact=True).focus()
        assert not hint.evaluate(is_cut)
        assert page.problems == []


@pytest.mark.long
def test_what_is_chosen_again_and_again_is_what_the_address_and_the_command_say(answering):
    with visited(f"{answering.address}#train") as page:
        page.set_default_timeout(30_000)
        chosen = page.get_by_label("model", exact=True)
        for model in ("baseline_cnn", "mini_resnet", "baseline_cnn", "resnet20", "mini_resnet"):
            chosen.select_option(model)
            page.locator("pre", has_text=f"model={model}").wait_for()
            page.wait_for_timeout(300)  # in which the form is drawn anew
            assert chosen.input_value() == model
            assert f"model={model}" in page.url
        page.locator("summary", has_text="More about the trainer").click()
        page.get_by_label("trainer.max_epochs").fill("-3")
        error = page.locator("[id='error-trainer.max_epochs']", has_text="-3")
        error.wait_for()
        page.get_by_label("optimizer", exact=True).select_option("sgd_cosine")
        page.wait_for_timeout(1000)
        assert error.is_visible()
        assert page.locator("[id='more-trainer'][open]").count() == 1
        assert page.problems == []


@pytest.mark.long
def test_a_run_is_started_stopped_gone_on_with_and_finished_by_the_page(studio, tmp_path):
    runs = tmp_path / "runs"
    with visited(f"{studio.address}#train") as page:
        page.set_default_timeout(60_000)
        page.goto(f"{studio.address.partition('?')[0]}#train")
        page.get_by_label("model", exact=True).select_option("baseline_cnn")
        page.get_by_label("model.widths").wait_for(state="attached")
        page.locator("summary", has_text="More about the model").click()
        fill_in(page, model__widths="[8,8,8]", optimizer__lr="0", trainer__max_epochs="40")
        error = page.locator("[id='error-optimizer.lr']")
        error.wait_for()
        assert error.inner_text() == "must be a number above 0, got 0"
        assert page.get_by_label("optimizer.lr").get_attribute("aria-invalid") == "true"
        assert page.get_by_role("button", name="Start").is_disabled()
        fill_in(page, optimizer__lr="0.01")
        page.get_by_text("1,386").wait_for()
        page.reload()
        page.get_by_text("1,386").wait_for()
        assert page.get_by_label("trainer.max_epochs").input_value() == "40"
        command = page.locator(".will pre").inner_text()
        page.get_by_role("button", name="Copy").click()
        assert page.evaluate("() => String(getSelection())").strip() == command
        assert "'model.widths=[8,8,8]' " in command
        page.get_by_label("seed", exact=True).fill("0,1")
        page.get_by_role("button", name="Start 2 runs").click()
        page.locator("li .state.running").wait_for()
        until(lambda: list(runs.glob("digits-*-s0-*/metrics.csv")), 60)
        (run,) = map(RunDirectory, runs.glob("digits-*"))

        # The trainer outlives its server, and another goes on with what waits.
        studio.kill()
        page.get_by_text("The studio does not answer").wait_for()
        assert run.is_running()
        studio.start()
        page.get_by_text("The studio does not answer").wait_for(state="hidden")
        assert all("ERR_CONNECTION" in problem for problem in page.problems)
        page.problems.clear()  # a browser says itself that nobody answers

        # Stopped among the runs, it has saved.
        page.get_by_role("link", name="Runs").click()
        page.get_by_label("Fold seeds").uncheck()
        page.get_by_role("checkbox", name=f"Select {run.name}").check()
        page.get_by_role("button", name="Stop").click()
        page.locator("td .state.interrupted").wait_for()
        assert run.latest.last.exists()
        done = len(run.metrics_file.read_text().splitlines()) - 1

        # A trainer that is killed: what is shown is true, and the queue says why.
        until(lambda: list(runs.glob("*-s1-*/progress.json")), 60)
        (killed,) = map(RunDirectory, runs.glob("digits-*-s1-*"))
        row = page.locator("tr", has=page.locator(f"[aria-label='Select {killed.name}']"))
        row.locator(".state.running").wait_for()
        opening = seconds_to_open(page, "tbody tr")
        os.kill(killed.request().pid, signal.SIGKILL)
        before = time.monotonic()
        row.locator(".state.interrupted").wait_for()
        assert time.monotonic() - before < 2 + opening  # as in test_studio_page
        page.get_by_role("button", name="Resume").click()  # what is still selected
        row = page.locator("tr", has=page.locator(f"[aria-label='Select {run.name}']"))
        row.locator(".state.finished").wait_for()
        assert "resuming at step" in run.log_file.read_text()
        assert run.record().epochs == 40 > done
        page.locator("#views").get_by_role("link", name="Train").click()
        page.get_by_role("button", name=f"Remove {killed.name}").click()  # which says why it ended
        page.get_by_text("Nothing waits.").wait_for()

        # A file of the user's comes while the page is there.
        (tmp_path / "conf/recipe/mine.yaml").write_text("# @package _global_\npatience: 3\n")
        page.locator("select[name=recipe] option[value=mine]").wait_for(state="attached")
        assert page.problems == []
