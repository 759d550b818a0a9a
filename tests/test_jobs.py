"""What becomes of cells in processes, and what is said and shown of them."""

import os
import sys
import time

import pytest

from cells import BEGIN, FINISH, Listener, progress, sweep
from reslab.errors import UserError
from reslab.jobs.slots import Slot
from reslab.jobs.sweep import Sweep
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory, list_runs


def test_a_killed_cell_is_named_with_its_last_line_and_the_others_go_on(make):
    dying = f"{BEGIN}print('at step 7'); sys.stdout.flush(); os.kill(os.getpid(), 9)"
    ends, said, _ = sweep([make("a", dying), make("b", BEGIN + FINISH), make("c", BEGIN + FINISH)])
    assert {name: end.state for name, end in ends.items()} == {
        "a": "failed", "b": "finished", "c": "finished"
    }  # fmt: skip
    assert [line for line in said if "failed" in line] == [
        "[1/3] a: failed: killed by signal 9 (Killed), its last line: at step 7"
    ]
    assert sum("begun on" in line for line in said) == 3
    assert not ends["b"].cell.output.exists()
    assert ends["a"].cell.output.read_text() == "at step 7\n"


DIE = "import os; os.kill(os.getpid(), 9)"


def test_a_cell_that_is_killed_behind_its_record_is_finished_and_tidied(make):
    running = "(run / 'progress.json').write_text('{}')\n"
    cell = make("late", f"{BEGIN}{running}{FINISH}{DIE}")
    ends, _, _ = sweep([cell])
    assert ends["late"].state == "finished"
    assert not cell.output.exists()
    assert not cell.directory.progress_file.exists()


def test_a_cell_that_is_killed_before_it_starts_a_finished_run_over_has_failed(make):
    cell = make("again", DIE)
    cell.directory.path.mkdir()
    cell.directory.record_file.write_text("{}")
    ends, _, _ = sweep([cell])
    assert ends["again"].state == "failed"
    assert ends["again"].reason == "killed by signal 9 (Killed)"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('reslab: there is no such thing')", "there is no such thing"),
        ("import sys; print('50 %\\r100 %', file=sys.stderr); sys.exit(1)", "100 %"),
        (
            "print('out of memory\\n |          |   0% [00:00<?, ?img/s]\\r'"
            "'epoch 2/2 |####| 100% [1:02:03<00:00, 1.2kimg/s, loss=0.1]'); exit(1)",
            "out of memory",
        ),
        ("import os; os._exit(3)", "it ended with status 3 and said nothing"),
        ("import os; os.kill(os.getpid(), 11)", "killed by signal 11 (Segmentation fault)"),
        ("pass", "it ended with status 0 and said nothing"),
        ("print('\\x1b[31mred\\x1b[0m'); exit(1)", "red"),
    ],
)
def test_a_cell_that_fails_before_it_has_a_directory_says_so_in_one(make, script, reason):
    cell = make("refused", script)
    ends, said, _ = sweep([cell])
    assert ends["refused"].reason == reason
    assert said[-1] == f"[1/1] refused: failed: {reason}"
    (listed,) = list_runs(cell.directory.path.parent)
    assert listed.state() == "failed"
    assert listed.failure_file.read_text() == f"{reason}\n"
    assert list(listed.request().command) == cell.command


def test_a_cell_whose_directory_is_another_run_s_leaves_that_alone(make):
    cell = make("taken", "exit(1)")
    cell.directory.path.mkdir()
    cell.directory.config_file.write_text("seed: 3\n")
    assert sweep([cell])[0]["taken"].state == "failed"
    assert list(cell.directory.path.iterdir()) == [cell.directory.config_file]


@pytest.mark.parametrize("begun", [False, True], ids=["at first", "meanwhile"])
def test_a_cell_that_another_process_runs_is_left_to_it_and_is_no_failure(begun, make, monkeypatch):
    cell = make("held", "exit(1)")
    cell.output.write_text("the other's")
    with cell.directory.locked():
        if begun:  # by the other, after one has looked
            looks = iter([False])
            is_running = RunDirectory.is_running
            monkeypatch.setattr(
                RunDirectory,
                "is_running",
                lambda run: is_running(run) if next(looks, None) is None else False,
            )
        listener = Listener()
        watched = Sweep([cell], [Slot("here")], listener)
        (end,) = watched.run().ends
    assert (end.state, end.reason) == ("elsewhere", "running in another process")
    assert listener.said[-1] == "[1/1] held: running in another process"
    assert "1 elsewhere" in watched._watched()[1]
    assert begun or cell.output.read_text() == "the other's"
    assert not cell.directory.failure_file.exists()
    assert not cell.directory.request_file.exists()


@pytest.mark.parametrize(
    ("seconds", "state", "said"),
    [(0.0, "finished", False), (37.0, "finished", True), (37.0, "failed", False)],
)
def test_the_time_left_is_said_where_a_cell_has_finished_long_before_the_end(
    seconds, state, said, make, monkeypatch
):
    monkeypatch.setattr("reslab.jobs.sweep.seconds_left", lambda *of: seconds)
    lines = sweep([make("a", BEGIN + (FINISH if state == "finished" else "exit(1)"))])[1]
    assert lines[-1].endswith("; about 37 s left") == said
    assert ("; about" in lines[-1]) == said


def test_a_cell_that_cannot_be_started_fails_alone(make, tmp_path):
    lost = make("lost", BEGIN + FINISH, folder=tmp_path / "nowhere")
    ends, *_ = sweep([lost, make("b", BEGIN + FINISH)])
    assert (ends["lost"].state, ends["b"].state) == ("failed", "finished")
    assert "nowhere" in ends["lost"].reason


def test_what_is_to_be_done_with_a_finished_cell_may_fail_it(make):
    def on_finished(cell):
        raise UserError("the disk is full")

    swept = Sweep([make("a", BEGIN + FINISH)], [Slot("here")], Reporter(), on_finished).run()
    assert [(end.state, end.reason) for end in swept.ends] == [("failed", "the disk is full")]


def test_a_terminal_shows_the_runs_under_way_below_what_is_said(make, monkeypatch):
    from reslab.terminal.reporter import Terminal

    cell = make("digits-cnn-s0", "")
    cell.directory.path.mkdir()
    progress(90.0).write(cell.directory.progress_file)
    ours, theirs = os.openpty()
    terminal = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    reporter = Terminal()
    with reporter.watching(lambda: ([cell.directory.path], "3 of 8 finished, about 5 min left")):
        reporter.say("[4/8] seed=3: begun on GPU 1")
        time.sleep(1.2)
    text = os.read(ours, 1 << 16).decode()
    _, _, shown = text.partition("begun on GPU 1")
    assert "digits-cnn-s0" in shown
    assert "1/2" in shown
    assert "2 min" in shown
    assert "3 of 8 finished, about 5 min left" in shown
    terminal.close()


def test_a_file_has_lines_and_no_drawing(capfd):
    from reslab.terminal.reporter import Terminal

    reporter = Terminal()
    with reporter.watching(lambda: ([], "3 of 8 finished")):
        reporter.say("[4/8] seed=3: begun on GPU 1")
    assert capfd.readouterr().err == "[4/8] seed=3: begun on GPU 1\n"
