"""The studio's table of runs: true, at once, and to each tab only what has changed."""

import json
import os
import shutil

import numpy as np
import pytest

from cpu_time import cpu_seconds
from reslab import locks
from reslab.progress import Progress
from reslab.runs.repeat import Repeat
from reslab.runs.store import list_runs
from reslab.studio import scan as scanning
from reslab.studio.runs import COLUMNS
from reslab.studio.scan import Scan
from reslab.terminal.by_seed import print_runs_by_seed
from studio import served, until, write_run

HOSTILE = ("<script>alert(1)<script>", "a\nb", "%2e%2e", '"><img src=x onerror=alert(1)>')


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(scanning, "SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(scanning, "SETTLED_NS", 0)


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


def by_name(changes):
    return {line["name"]: line for line in changes["lines"]}


def cell(line, column):
    return line["text"][COLUMNS.index(column)]


def number(line, column):
    return line["number"][COLUMNS.index(column)]


def test_each_run_says_its_state_and_what_it_came_to(runs):
    write_run(runs, "done", test=0.9125)
    write_run(runs, "broken", seed=1, failure="the loss is nan in epoch 2")
    write_run(runs, "stopped", seed=2, epochs=3)
    lines = by_name(Scan(runs).changes())
    assert [lines[name]["state"] for name in ("done", "broken", "stopped")] == [
        *("finished", "failed", "interrupted")
    ]
    assert [cell(lines["done"], one) for one in ("Val, %", "Test, %", "Min", "Parameters")] == [
        *("91.25", "91.25", "2.0", "391,370")
    ]
    assert lines["broken"]["why"] == "the loss is nan in epoch 2"
    assert cell(lines["stopped"], "Epochs") == "3"
    assert number(lines["stopped"], "Val, %") == pytest.approx(80)  # the best of its epochs
    assert cell(lines["stopped"], "Test, %") == ""
    assert lines["done"]["why"] == lines["stopped"]["why"] == ""


def test_running_is_proven_by_the_lock_and_ends_with_it(runs):
    folder = write_run(runs, "a-run")
    Progress(2, 5, 3, 10, 0.25, 0.5, 0.1, 100.0, 200.0).write(folder / "progress.json")
    scan = Scan(runs)
    assert scan.changes()["lines"][0]["state"] == "interrupted"
    with locks.held(folder / "run.lock"):
        (line,) = scan.changes()["lines"]
        assert (line["state"], line["done"]) == ("running", 0.25)
        assert [cell(line, one) for one in ("State", "Left", "Epochs")] == [
            *("running 25%", "3 min", "2 of 5")
        ]
    (line,) = scan.changes()["lines"]
    assert (line["state"], line["done"], cell(line, "Left")) == ("interrupted", None, "")
    assert [cell(line, one) for one in ("State", "Epochs")] == ["interrupted 25%", "2 of 5"]


def test_a_run_that_was_interrupted_before_it_had_saved_says_that_it_begins_again(runs):
    folder = write_run(runs, "a-run")
    write_run(runs, "finished", seed=1, test=0.9)
    lines = by_name(Scan(runs).changes())
    assert lines["a-run"]["note"] == "nothing is saved yet: it will begin again"
    assert lines["finished"]["note"] == ""
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/last.ckpt").touch()
    assert by_name(Scan(runs).changes())["a-run"]["note"] == ""


def test_a_tab_is_told_only_what_has_changed_since_it_asked(runs):
    first = write_run(runs, "one", seed=1, test=0.9)
    write_run(runs, "two", lr=0.2, test=0.8)
    scan = Scan(runs)
    answer = scan.changes()
    assert answer["all"]
    assert by_name(answer).keys() == {"one", "two"}
    since = answer["cursor"]
    again = scan.changes(since)
    assert (again["lines"], again["gone"], again["all"]) == ([], [], False)
    write_run(runs, "three", lr=0.3)
    shutil.rmtree(first)
    answer = scan.changes(since)
    assert by_name(answer).keys() >= {"three"}
    assert answer["gone"] == ["one"]
    assert scan.changes(answer["cursor"])["lines"] == []
    assert by_name(scan.changes(since)).keys() >= {"three"}, "another tab is told it, too"
    write_run(runs, "one", seed=1)
    answer = scan.changes(answer["cursor"])
    assert (by_name(answer)["one"]["state"], answer["gone"]) == ("interrupted", [])


@pytest.mark.parametrize("cursor", ["", "x", "x-1", "-", "00000000-5", "ü-²"])
def test_a_cursor_of_nobody_s_or_of_a_server_before_is_answered_with_all(runs, cursor):
    write_run(runs, "a-run")
    answer = Scan(runs).changes(cursor)
    assert answer["all"]
    assert len(answer["lines"]) == 1


def test_a_finished_run_is_read_once_and_again_when_it_is_run_again(runs, monkeypatch):
    read = []
    monkeypatch.setattr(
        Repeat, "read", lambda run, real=Repeat.read: (read.append(run.name), real(run))[1]
    )
    folder = write_run(runs, "a-run", test=0.9)
    scan = Scan(runs)
    for _ in range(3):
        scan.changes()
    assert read == ["a-run"]
    (folder / "metrics.json").unlink()
    assert scan.changes()["lines"][0]["state"] == "interrupted"


def test_a_change_within_the_grain_of_the_file_system_s_clock_is_seen(runs, monkeypatch):
    monkeypatch.setattr(scanning, "SETTLED_NS", 10**12)
    folder = write_run(runs, "a-run", test=0.5)
    scan, changed = Scan(runs), folder.stat().st_mtime_ns
    scan.changes()
    content = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(content | {"test/accuracy": 0.75}))
    os.utime(folder, ns=(changed, changed))
    assert cell(scan.changes()["lines"][0], "Test, %") == "75.00"


def test_seeds_fold_into_a_line_with_mean_and_sample_deviation(runs, capsys):
    accuracies = [0.91, 0.875, 0.94]
    for seed, accuracy in enumerate(accuracies):
        write_run(runs, f"run-{seed}", seed=seed, test=accuracy)
    write_run(runs, "run-3", seed=3, failure="no memory")
    write_run(runs, "other", lr=0.5, test=0.5)
    shutil.copytree(runs / "run-0", runs / "copy")
    lines = by_name(Scan(runs).changes())
    (folded,) = (line for line in lines.values() if "runs" in line)
    of_numpy = f"{100 * np.mean(accuracies):.2f} ± {100 * np.std(accuracies, ddof=1):.2f}"
    assert cell(folded, "Test, %") == of_numpy
    assert number(folded, "Test, %") == pytest.approx(100 * np.mean(accuracies))
    assert cell(folded, "State") == "3 finished, 1 failed"
    assert (folded["state"], folded["why"]) == ("failed", "no memory")
    counted = {name for name, line in lines.items() if line["group"] == folded["group"]}
    assert set(folded["runs"]) < counted
    copies = [name for name in ("copy", "run-0") if "not counted" in lines[name]["note"]]
    assert len(copies) == 1
    assert copies[0] not in folded["runs"]
    assert cell(lines["other"], "Run") == "digits-baseline_cnn optimizer.lr=0.5"

    print_runs_by_seed(list_runs(runs), runs)
    in_terminal = capsys.readouterr().out
    for line in (folded, lines["other"]):
        assert cell(line, "Run") in in_terminal
        assert cell(line, "Test, %") in in_terminal


def test_what_a_run_is_called_changes_with_those_beside_it(runs):
    write_run(runs, "one", lr=0.1, test=0.5)
    scan = Scan(runs)
    answer = scan.changes()
    assert cell(answer["lines"][0], "Run") == "digits-baseline_cnn"
    other = write_run(runs, "two", lr=0.2, test=0.5)
    answer = scan.changes(answer["cursor"])
    assert {cell(line, "Run") for line in answer["lines"]} == {
        f"digits-baseline_cnn optimizer.lr={lr}" for lr in (0.1, 0.2)
    }
    shutil.rmtree(other)
    (line,) = scan.changes(answer["cursor"])["lines"]
    assert cell(line, "Run") == "digits-baseline_cnn"


def test_many_runs_are_told_of_part_by_part(runs, monkeypatch):
    for at in range(7):
        write_run(runs, f"run-{at}", lr=at)
    monkeypatch.setattr(scanning, "SECONDS_OF_A_FIRST_LOOK", -1)
    scan = Scan(runs)
    assert (scan.changes()["lines"], scan.changes()["more"]) == ([], True)
    monkeypatch.setattr(scanning, "SECONDS_OF_A_FIRST_LOOK", 60)
    answer = scan.changes()
    assert (len(answer["lines"]), answer["more"]) == (7, False)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.yaml", "a: [", "config.yaml cannot be read"),
        ("config.yaml", "[1]", "is no run's configuration"),
        ("config.yaml", "seed: !!python/object/apply:os.system ['x']", "cannot be read"),
        ("config.yaml", None, ""),
        ("request.json", "{", ""),
        ("request.json", "[]", ""),
        ("metrics.csv", "a\n\0", ""),
        ("metrics.csv", "epoch,val/accuracy,seconds\n1,nan,x\n", ""),
        ("metrics.json", "[", ""),
        ("progress.json", "nothing", ""),
    ],
)
def test_a_spoilt_file_spoils_no_other_run_and_is_named_if_it_matters(runs, file, content, why):
    write_run(runs, "whole", test=0.9)
    folder = write_run(runs, "spoilt", lr=0.3)
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_text(content)
    lines = by_name(Scan(runs).changes())
    assert lines.keys() == {"whole", "spoilt"}
    assert why in lines["spoilt"]["why"]
    assert cell(lines["whole"], "Test, %") == "90.00"


def test_what_is_no_run_is_no_line(runs):
    write_run(runs, "a-run")
    (runs / "notes").mkdir()
    (runs / "a file").write_text("")
    scan = Scan(runs)
    assert by_name(scan.changes()).keys() == {"a-run"}
    (runs / "notes/request.json").write_text("{}")
    assert by_name(scan.changes()).keys() == {"a-run", "notes"}


def test_there_may_be_no_folder_yet(tmp_path):
    scan = Scan(tmp_path / "later/runs")
    assert scan.changes()["lines"] == []
    write_run(tmp_path / "later/runs", "a-run")
    assert len(scan.changes()["lines"]) == 1


def test_names_of_every_kind_and_numbers_that_are_none_are_json(runs):
    for name in HOSTILE:
        write_run(runs, name)
    bytes_that_are_no_text = os.fsdecode(b"x\xff")
    write_run(runs, bytes_that_are_no_text)
    diverged = write_run(runs, "diverged")
    (diverged / "metrics.csv").write_text("epoch,val/accuracy,seconds\n1,nan,inf\n")
    with served(runs) as studio:
        answer = until(lambda: (a := studio.ask("/api/runs")).json["more"] is False and a)
        assert b"NaN" not in answer.body
        assert b"Infinity" not in answer.body
        lines = by_name(answer.json)
        assert studio.ask("/api/runs?since=").status == 200
    assert {*HOSTILE, bytes_that_are_no_text, "diverged"} <= lines.keys()


def test_hundreds_of_runs_are_looked_at_soon_and_then_hardly_at_all(tmp_path):
    """What it takes is the files' reading; a second look asks each folder once."""
    first = write_run(tmp_path / "runs", "run-0", test=0.9)
    for at in range(1, 300):
        (tmp_path / f"runs/run-{at}").mkdir()
        for file in first.iterdir():
            (tmp_path / f"runs/run-{at}/{file.name}").hardlink_to(file)
    scans = []

    def whole():
        scans.append(Scan(tmp_path / "runs"))
        while scans[-1].changes()["more"]:
            pass

    first_look = cpu_seconds(whole)
    assert first_look < 3
    assert cpu_seconds(lambda: scans[-1].changes(scans[-1].changes()["cursor"])) < first_look / 10


@pytest.mark.parametrize("name", ["log.txt", "metrics.csv", "config.yaml", "failure.txt"])
def test_what_leads_out_of_a_run_by_a_link_is_not_read(tmp_path, name):
    secret = tmp_path / "secret"
    secret.write_text("seed: 7\nsecret: word\n")
    run = write_run(tmp_path / "runs", "linked", test=None if name == "failure.txt" else 0.9)
    write_run(tmp_path / "runs", "whole", test=0.9)
    (tmp_path / "runs/no run").mkdir()
    (tmp_path / "runs/no run/link").symlink_to(secret)
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    with served(tmp_path / "runs") as studio:
        lines = by_name(studio.ask("/api/runs?since=").json)
        assert "no run" not in lines
        assert lines["linked"]["why"] == f"{name} is a link, of which nothing is read"
        for path in ("watch/details?run=linked", "download/checkpoint?run=linked"):
            answer = studio.ask(f"/api/{path}")
            assert b"word" not in answer.body
        assert studio.ask("/api/watch/details?run=whole").status == 200


def test_a_checkpoint_that_lies_elsewhere_is_not_handed_out(tmp_path):
    (tmp_path / "secret").write_text("a secret word")
    run = write_run(tmp_path / "runs", "linked", test=0.9)
    (run / "checkpoints").mkdir()
    (run / "checkpoints/best.ckpt").symlink_to(tmp_path / "secret")
    with served(tmp_path / "runs") as studio:
        answer = studio.ask("/api/download/checkpoint?run=linked")
        assert answer.status == 422
        assert "best.ckpt is a link out of the run" in answer.json["error"]


def test_a_pipe_in_a_run_s_folder_stops_nobody(tmp_path):
    os.mkfifo(write_run(tmp_path / "runs", "piped") / "metrics.json")
    write_run(tmp_path / "runs", "whole", test=0.9)
    with served(tmp_path / "runs") as studio:
        lines = by_name(studio.ask("/api/runs?since=").json)
        assert lines["piped"]["why"] == "metrics.json is no file, of which nothing is read"
        assert lines["whole"]["state"] == "finished"
