"""The studio's form, what it says a run will be, and the queue."""

import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import pytest
from omegaconf import OmegaConf

from browser import visited
from reslab.config import add_folder, compose, places, single_runs
from reslab.errors import UserError
from reslab.jobs.cell import Cell
from reslab.runs.identity import run_name
from reslab.runs.store import RunDirectory
from reslab.studio import preview as previews
from reslab.studio.entries import Entry
from reslab.studio.form import ABSENT, Wish, options, read_form
from reslab.studio.pace import Work, estimate_seconds
from reslab.studio.queue import Queues
from studio import Studio, record, served, until, write_run

TINY = {"dataset": "digits", "model": "baseline_cnn", "model.widths": "[8,8,8]"}


# The form


def fields(form):
    return {one["key"]: one for one in form["fields"]}


def test_a_recipe_comes_first_and_what_it_sets_is_told_from_what_it_leaves_open():
    form = read_form({"recipe": "liu_goh/resnet18"})
    assert form["groups"][0]["name"] == "recipe"
    assert "Published: 89.9 %" in form["groups"][0]["about"]
    groups = {one["name"]: one for one in form["groups"]}
    assert groups["model"]["by_recipe"]
    assert groups["model"]["otherwise"] == "resnet18_liu_goh"
    assert not groups["join"]["by_recipe"]
    assert fields(form)["trainer.max_epochs"]["by_recipe"]
    assert fields(form)["trainer.max_epochs"]["otherwise"] == "30"
    assert not fields(form)["optimizer.lr"]["by_recipe"]


def test_each_field_is_one_that_a_run_takes_as_it_stands_in_the_form():
    """An override of each field with what it is without one changes nothing."""
    form = read_form({"recipe": "bhise_karale"})
    typed = [f"++{key}={one['otherwise']}" for key, one in fields(form).items()]
    asked = compose(["recipe=bhise_karale", *typed])
    OmegaConf.set_struct(asked, False)
    before = compose(["recipe=bhise_karale"])
    for key in ABSENT:
        assert asked.trainer.pop(key.partition(".")[2]) is None
    assert asked.trainer == before.trainer
    assert asked.model == before.model
    assert asked.optimizer == before.optimizer


def test_a_new_file_of_the_users_is_offered_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [])
    add_folder(tmp_path)
    before = options()
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/mine.yaml").write_text(
        "# @package _global_\n# My own.\ndefaults:\n  - override /model: resnet20\n  - _self_\n"
        "patience: 3\n"
    )
    assert options() != before
    form = read_form({"recipe": "mine"})
    assert "mine" in form["groups"][0]["options"]
    assert form["groups"][0]["about"] == "My own."
    assert fields(form)["patience"] | {"about": ""} == {
        **{"key": "patience", "otherwise": "3", "by_recipe": True, "part": "recipe", "about": ""}
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hydra.run.dir", "/tmp/elsewhere"),
        ("hydra/launcher", "local"),
        ("hydra.searchpath", "[file:///tmp]"),
        ("--config-dir", "/tmp"),
        ("runs_dir", "/tmp"),
        ("data_dir", "/etc"),
        ("init_from", "/etc/passwd"),
        ("model._target_", "os.system"),
        ("+model._target_", "os.system"),
        ("~model", ""),
        ("model@other", "resnet18"),
        ("model", "../../../etc/passwd"),
        ("recipe", "/etc/passwd"),
        ("dataset.source.dataset._target_", "os.system"),
        ("optimizer.lr", "${oc.env:HOME}"),
        ("seed", "range(0,1000000000)"),
        ("seed", "glob(*)"),
        ("seed", "["),
        ("optimizer.optimizer", "{_target_:os.system}"),
    ],
)
def test_what_the_form_does_not_have_is_refused_by_its_name(key, value):
    wish = Wish.read({"dataset": "digits", key: value or "x"})
    assert list(wish.errors) == [key]
    assert wish.overrides == ["dataset=digits"]


def test_values_that_no_run_takes_are_refused_each_at_its_field():
    wrong = {
        "seed": "-1",
        "label_smoothing": "2",
        "optimizer.lr": "0.1,0",
        "trainer.max_epochs": "many",
        "dataset.batch_size": "1.5",
        "monitor": "val/luck",
        "trainer.precision": "64",
    }
    found = previews.preview(TINY | wrong)
    assert found["errors"].keys() == wrong.keys()
    assert found["errors"]["optimizer.lr"] == "optimizer.lr must be a number above 0, got 0"
    assert "from 0 to 0.999" in found["errors"]["label_smoothing"]
    assert "runs" not in found


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", "0,", "seed=0,: that is no value"),
        ("seed", "<script>", "seed=<script>: that is no value"),
        ("seed", "1e3", "seed must be a whole number, written as 1000, got 1000.0"),
        ("model.widths", "8,8", "model.widths must be a list, such as [1, 2], got 8"),
        ("model.widths", "[8.5]", "model.widths must be a whole number at least 1, got 8.5"),
        ("model.widths", "[]", "model.widths must have at least one entry, got []"),
        ("model.dropout", "1", "model.dropout must be a number from 0 to below 1, got 1"),
    ],
)
def test_what_is_wrong_is_one_plain_sentence_at_its_field(key, value, said):
    found = previews.preview(TINY | {key: value})
    assert list(found["errors"]) == [key]
    assert found["errors"][key].startswith(said)


def test_what_a_part_refuses_is_said_at_the_field_of_that_part():
    found = previews.preview(TINY | {"augment": "flip", "augment.flip.probability": "3"})
    assert list(found["errors"]) == ["augment.flip.probability"]


def test_a_target_of_a_users_file_that_is_not_allowed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [])
    (tmp_path / "model").mkdir()
    (tmp_path / "model/evil.yaml").write_text("_target_: os.system\ncommand: touch /tmp/evil\n")
    add_folder(tmp_path)
    found = previews.preview({"model": "evil"})
    assert "os.system is not allowed" in found["error"]
    assert "runs" not in found


def test_what_is_lacking_is_said_at_its_field_or_of_all():
    found = previews.preview({"dataset": "folder"})
    assert list(found["errors"]) == ["dataset.root"]
    found = previews.preview({"ablation": "no_skip", "join": "add"})
    assert "both choose the join" in found["errors"]["ablation"]
    assert read_form({"ablation": "no_skip", "join": "add"})["errors"] == found["errors"]


def test_fields_have_the_ranges_of_their_constructors_and_what_these_say_of_them():
    about = previews.preview(TINY | {"augment": "flip"})["about"]
    assert about["label_smoothing"]["range"] == "from 0 to 0.999"
    assert about["trainer.max_epochs"]["range"] == "at least 1"
    assert about["augment.flip.probability"]["range"] == "from 0 to 1"
    assert about["optimizer.lr"]["range"] == "above 0"
    assert about["model.dropout"]["range"] == "from 0 to below 1"
    for key, one in about.items():
        assert not re.search(r"`|None|[Dd]isabled by default", one["text"]), key
    assert about["optimizer.lr"]["text"] == "Initial learning rate."
    assert "val/loss" in about["monitor"]["choices"]


def test_a_network_is_counted_and_drawn_before_it_is_trained():
    found = previews.preview({"recipe": "virakden"})
    assert found["parameters"] == 11_172_810, "as the paper has it"
    (run,) = found["runs"]
    assert run["name"].startswith("mnist-resnet18-s0-")
    assert "<svg" in previews.draw(TINY)


def test_a_list_of_values_is_a_sweep_of_all_combinations():
    found = previews.preview(TINY | {"seed": "0,1,2", "optimizer.lr": "0.1, 0.01"})
    assert found["number"] == 6
    assert len({run["name"] for run in found["runs"]}) == 6
    assert ["seed=2", "optimizer.lr=0.01"] in [run["overrides"][-2:] for run in found["runs"]]


def test_time_goes_by_runs_of_the_same_network_here():
    one = record(0, 0.9)
    fast = one.__class__(**{**vars(one), "images_per_second": 1000.0, "epoch_seconds": 45.0})
    fast = fast.__class__(**{**vars(fast), "macs": 100, "dataset": "digits"})
    work = Work("digits", "a machine, 2 cores", 100, 50, 10, None, None)
    assert estimate_seconds(work, [fast]) == pytest.approx(10 * 45)
    short = Work("digits", "a machine, 2 cores", 100, 50, 10, 2, None)
    assert estimate_seconds(short, [fast]) == pytest.approx(10 * 100 / 1000)
    steps = Work("mnist", "a machine, 2 cores", 100, 50, -1, None, 200)
    assert estimate_seconds(steps, [fast]) == pytest.approx(200 * 50 / 1000)
    elsewhere = Work("digits", "another machine", 100, 50, 10, None, None)
    another = Work("digits", "a machine, 2 cores", 200, 50, 10, None, None)
    for unknown in (elsewhere, another):
        assert estimate_seconds(unknown, [fast]) is None


# The queue: entries whose processes only sleep, or say why they do not.


@dataclass(frozen=True)
class Sleeper(Cell):
    @property
    def command(self):
        code = f"import time; time.sleep(60)  # {self.title}"
        if "refused" in self.overrides:
            code = "import sys; sys.exit('reslab: optimizer.lr must be positive')"
        return [sys.executable, "-c", code]


@pytest.fixture
def sleeping(monkeypatch):
    def cell(entry, runs_dir):
        directory = RunDirectory(runs_dir / entry.name)
        return Sleeper(entry.overrides, directory, entry.name)

    monkeypatch.setattr(Entry, "cell", cell)


@pytest.fixture
def queues(tmp_path, sleeping):
    made = []

    def make(others=frozenset):
        made.append(Queues(tmp_path / "runs", lambda: set(others())))
        return made[-1]

    yield make
    for entry in made[-1].read().running():
        os.kill(entry.pid, signal.SIGKILL)


def entries(*names, **more):
    return [Entry(name, ("seed=0",), ".", **more) for name in names]


def running(queues):
    return [entry.name for entry in queues.read().running()]


def test_entries_begin_in_their_order_as_many_as_go_at_once(queues):
    one = queues()
    one.add(entries("a", "b", "c", "d"))
    ids = {entry.name: entry.id for entry in one.read().entries}
    one.set_order([ids["c"], ids["a"], ids["d"], ids["b"]])
    one.work()
    assert running(one) == ["c"]
    one.set_at_once(2)
    one.work()
    assert running(one) == ["c", "a"]
    assert len({entry.slot for entry in one.read().running()}) == 2
    one.take_out([ids["c"], ids["d"]])
    until(lambda: one.work() or running(one) == ["a", "b"])
    assert [entry.name for entry in one.read().entries] == ["a", "b"]
    with pytest.raises(UserError, match="from 1 to"):
        one.set_at_once(0)


def test_a_server_that_is_started_again_goes_on_with_the_queue(queues):
    one = queues()
    one.add(entries("a", "b"))
    one.work()
    two = queues()
    two.work()
    assert running(two) == ["a"], "it lives and is not begun twice"
    os.kill(two.read().running()[0].pid, signal.SIGKILL)
    until(lambda: two.work() or running(two) == ["b"])
    (failed,) = [entry for entry in two.read().entries if entry.state == "failed"]
    assert failed.name == "a"
    assert failed.reason


def test_two_servers_of_one_folder_begin_an_entry_once(queues):
    one, two = queues(), queues()
    one.add(entries("a", "b"))
    one.work()
    two.work()
    one.work()
    assert running(one) == running(two) == ["a"]


def test_what_was_begun_elsewhere_counts(queues):
    others = {"in-a-terminal"}
    one = queues(lambda: others)
    one.add(entries("a"))
    one.work()
    assert running(one) == []
    others.clear()
    one.work()
    assert running(one) == ["a"]


def test_a_refused_start_says_why_in_the_queue_and_among_the_runs(queues, tmp_path):
    one = queues()
    one.add([Entry("a", ("refused",), "."), *entries("b")])
    one.work()
    until(lambda: one.work() or running(one) == ["b"])
    failed, _ = one.read().entries
    assert failed.state == "failed"
    assert failed.reason == "optimizer.lr must be positive"
    run = RunDirectory(tmp_path / "runs/a")
    assert run.state() == "failed"
    assert run.failure_file.read_text().startswith("optimizer.lr must be positive")
    one.add(entries("a"))
    assert [entry.state for entry in one.read().entries] == ["running", "waiting"]


def test_a_run_that_was_killed_is_interrupted_in_the_queue_as_among_the_runs(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    write_run(tmp_path / "runs", "a")  # by now it has begun
    os.kill(entry.pid, signal.SIGKILL)
    until(lambda: one.work() or running(one) == [])
    (entry,) = one.read().entries
    assert entry.state == RunDirectory(tmp_path / "runs/a").state() == "interrupted"
    assert entry.reason.startswith("killed by signal 9")
    one.add(entries("a"))
    assert [entry.state for entry in one.read().entries] == ["waiting"]


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_of_another_server_s_that_was_killed_stays_in_the_queue_to_say_so(
    queues, tmp_path, asked
):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    write_run(tmp_path / "runs", "a")
    if asked:
        with one.changed() as queue:
            queue.put(replace(entry, stopping=True))
    os.kill(entry.pid, signal.SIGKILL)
    two = queues()
    until(lambda: two.work() or running(two) == [])
    assert [(one.name, one.state) for one in two.read().entries] == (
        [] if asked else [("a", "interrupted")]
    )
    assert all(one.reason for one in two.read().entries)


def test_a_run_is_not_put_into_the_queue_twice(queues):
    one = queues()
    one.add(entries("a"))
    with pytest.raises(UserError, match="a is in the queue already"):
        one.add(entries("a"))


def test_a_run_that_was_stopped_goes_on_at_once_whoever_looks_after_it(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    os.kill(entry.pid, signal.SIGKILL)
    two = queues()
    until(lambda: not entry.is_alive(tmp_path / "runs"))
    two.add(entries("a"))
    assert [entry.state for entry in two.read().entries] == ["waiting"]


def test_a_copy_of_a_queue_has_no_hold_on_what_the_other_has_begun(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    copy = Queues(shutil.copytree(one.runs_dir, tmp_path / "copy"), set)
    copy.take_out([entry.id])
    copy.work()
    assert running(copy) == [], "nothing goes on in the copy"
    time.sleep(0.3)  # which is more than it takes to die of a signal
    assert entry.is_alive(one.runs_dir)
    two = queues()  # of another server, which has not begun it
    two.take_out([entry.id])
    until(lambda: not entry.is_alive(two.runs_dir))


def test_a_damaged_queue_is_named(queues):
    one = queues()
    one.add(entries("a"))
    one.file.write_text('{"entries": [{"names": 3}]')
    with pytest.raises(UserError, match="is damaged"):
        one.read()
    one.file.unlink()


# What the server answers


def asked(studio, path, **content):
    return studio.ask(f"/api/{path}", json.dumps(content).encode())


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


class InProcess:
    """What computes beside a server, within it: torch is here already."""

    async def run(self, task, tell=None, **what):
        return task(**what)


@pytest.fixture
def answering(tmp_path, sleeping):
    with served(tmp_path / "runs", worker=InProcess()) as studio:
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


@pytest.mark.slow
def test_a_hint_that_is_cut_is_whole_where_one_fills_in(answering):
    with visited(f"{answering.address}#train") as page:
        hint = page.locator("[id='about-seed']")
        hint.wait_for()
        is_cut = "(one) => one.scrollWidth > one.clientWidth"
        assert hint.evaluate(is_cut)
        page.get_by_label("seed", exact=True).focus()
        assert not hint.evaluate(is_cut)
        assert page.problems == []


@pytest.mark.slow
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


@pytest.mark.slow
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
        assert "'model.widths=[8,8,8]' " in command
        page.get_by_role("button", name="Start").click()
        page.locator("li .state.running").wait_for()
        until(lambda: list(runs.glob("digits-*/metrics.csv")), 60)
        (run,) = map(RunDirectory, runs.glob("digits-*"))

        # Stopped among the runs, it has saved.
        page.get_by_role("link", name="Runs").click()
        page.get_by_role("checkbox", name=f"Select {run.name}").check()
        page.get_by_role("button", name="Stop").click()
        page.locator("td .state.interrupted").wait_for()
        assert run.latest.last.exists()
        done = len(run.metrics_file.read_text().splitlines()) - 1

        # Another server goes on with what waits, and with the run.
        studio.kill()
        page.get_by_text("The studio does not answer").wait_for()
        page.problems.clear()  # a browser says itself that nobody answers
        studio.start()
        page.get_by_text("The studio does not answer").wait_for(state="hidden")
        page.get_by_role("button", name="Resume").click()
        page.locator("td .state.finished").wait_for()
        assert "resuming at step" in run.log_file.read_text()
        assert run.record().epochs == 40 > done

        # A trainer that is killed: what is shown is true, and the queue says why.
        page.goto(
            f"{studio.address.partition('?')[0]}#train?model=baseline_cnn&model.widths=[8,8,8]"
            "&optimizer.lr=0.01&trainer.max_epochs=40&seed=1,2"
        )
        page.get_by_text("about").first.wait_for()
        page.get_by_role("button", name="Start 2 runs").click()
        until(lambda: list(runs.glob("*-s1-*/progress.json")), 60)
        (killed,) = map(RunDirectory, runs.glob("digits-*-s1-*"))
        studio.kill()  # the trainer outlives its server
        assert killed.is_running()
        studio.start()
        page.get_by_role("link", name="Runs").click()
        page.locator("td .state.running").wait_for()
        os.kill(killed.request().pid, signal.SIGKILL)
        before = time.monotonic()
        page.locator("td .state.interrupted").wait_for()
        assert time.monotonic() - before < 3
        page.problems.clear()
        page.goto(f"{studio.address.partition('?')[0]}#train")
        page.locator("li .state.running").wait_for()  # the one that waited
        page.get_by_role("button", name="Stop digits").click()
        page.get_by_role("button", name=f"Remove {killed.name}").click()  # which says why it ended
        page.get_by_text("Nothing waits.").wait_for()

        # A file of the user's comes while the page is there.
        (tmp_path / "conf/recipe/mine.yaml").write_text("# @package _global_\npatience: 3\n")
        page.locator("select[name=recipe] option[value=mine]").wait_for(state="attached")
        assert page.problems == []
