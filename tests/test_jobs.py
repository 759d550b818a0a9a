"""A pool of processes: what a slot is, what becomes of a cell, what signals do."""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest

from reslab.jobs import slots
from reslab.jobs.cell import Cell
from reslab.jobs.pool import Ended, Pool
from reslab.jobs.slots import Slot, find_slots
from reslab.jobs.sweep import Sweep, seconds_left
from reslab.progress import Progress
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory, list_runs

BEGIN = """
import os, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
run.mkdir(exist_ok=True)
(run / "begun").write_text(f"{time.time()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
"""
FINISH = """
(run / "ended").write_text(str(time.time()))
(run / "metrics.json").write_text("{}")
"""
SAVE = """
def save(signum, frame):
    (run / "saved").touch()
    sys.exit(128 + signum)
signal.signal(signal.SIGTERM, save)
(run / "ready").touch()
time.sleep(60)
"""
STALL = """
signal.signal(signal.SIGTERM, lambda *signal: None)
(run / "ready").touch()
end = time.time() + 60
while time.time() < end:
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Script(Cell):
    """A cell that runs a few lines instead of a training."""

    @property
    def command(self):
        return [sys.executable, "-c", self.overrides[0], str(self.directory.path)]


@pytest.fixture
def make(tmp_path):
    """Makes a cell of a script."""

    def cell(name, script, **more):
        return Script((script,), RunDirectory(tmp_path / name), name, **more)

    return cell


class Listener(Reporter):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def sweep(cells, number=2):
    listener = Listener()
    swept = Sweep(cells, [Slot(f"place {at}") for at in range(number)], listener).run()
    return {end.cell.title: end for end in swept.ends}, listener.said, swept.signum


@pytest.fixture
def machine(monkeypatch):
    """Pretends GPUs and cores."""

    def pretend(gpus=None, threads="8"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if gpus is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)

    return pretend


def test_each_gpu_is_a_slot_with_its_share_of_the_cores(machine):
    machine("3,5")
    assert find_slots() == [Slot("GPU 0", "3", 4), Slot("GPU 1", "5", 4)]
    assert find_slots(1) == [Slot("GPU 0", "3")]
    assert find_slots()[1].variables == {"CUDA_VISIBLE_DEVICES": "5", "OMP_NUM_THREADS": "4"}


def test_more_runs_than_gpus_are_refused_unless_they_are_asked_to_share(machine):
    machine("0,1")
    with pytest.raises(slots.UserError, match=r"hydra\.launcher\.slots=3: there are 2 GPUs"):
        find_slots(3)
    assert [slot.gpu for slot in find_slots(3, runs_per_gpu=2)] == ["0", "1", "0"]
    assert [slot.gpu for slot in find_slots(None, runs_per_gpu=2)] == ["0", "1", "0", "1"]
    for wrong in ((0, 1), (-1, 1), (None, 0)):
        with pytest.raises(slots.UserError, match="must be at least 1"):
            find_slots(*wrong)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_without_a_gpu_the_cores_are_shared(machine, hidden):
    machine(hidden)
    assert [slot.variables for slot in find_slots(3)] == [{"OMP_NUM_THREADS": "2"}] * 3
    assert [slot.variables for slot in find_slots()] == [{}], "one run has the machine"
    machine("0,1")
    assert [slot.gpu for slot in find_slots(2, on_gpus=False)] == [None, None]


def test_gpus_are_found_by_the_driver_s_command(machine, tmp_path, monkeypatch):
    machine()
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho GPU-1a\necho GPU-2b\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [slot.gpu for slot in find_slots()] == ["GPU-1a", "GPU-2b"]
    command.write_text("#!/bin/sh\necho no devices were found\nexit 6\n")
    assert find_slots() == [Slot("all cores")]


def test_two_cells_never_share_a_device(make, machine):
    machine("0,1")
    cells = [make(f"cell-{at}", f"{BEGIN}time.sleep({0.1 + 0.1 * at}){FINISH}") for at in range(6)]
    swept = Sweep(cells, find_slots(), Reporter()).run()
    assert [end.state for end in swept.ends] == ["finished"] * 6
    spans = {"0": [], "1": []}
    for cell in cells:
        begun, gpu = (cell.directory.path / "begun").read_text().split()
        spans[gpu].append((float(begun), float((cell.directory.path / "ended").read_text())))
    for times in map(sorted, spans.values()):
        assert len(times) >= 2
        assert all(end < begin for (_, end), (begin, _) in pairwise(times))


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


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import sys; sys.exit('reslab: there is no such thing')", "there is no such thing"),
        ("import sys; print('50 %\\r100 %', file=sys.stderr); sys.exit(1)", "100 %"),
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


def test_a_cell_whose_directory_another_process_holds_leaves_that_alone(make):
    cell = make("held", "exit(1)")
    with cell.directory.locked():
        assert sweep([cell])[0]["held"].state == "failed"
        assert not cell.directory.failure_file.exists()
        assert not cell.directory.request_file.exists()


def test_a_cell_has_its_slot_s_environment_and_before_that_its_own(make, machine):
    machine("0,1")
    script = f"{BEGIN}(run / 'seen').write_text(os.environ['OMP_NUM_THREADS']){FINISH}"
    cells = [make("new", script), make("begun", script, variables={"OMP_NUM_THREADS": "3"})]
    Sweep(cells, find_slots(), Reporter()).run()
    assert [(one.directory.path / "seen").read_text() for one in cells] == ["4", "3"]


def test_a_cell_that_cannot_be_started_fails_alone(make, tmp_path):
    lost = make("lost", BEGIN + FINISH, folder=tmp_path / "nowhere")
    ends, *_ = sweep([lost, make("b", BEGIN + FINISH)])
    assert (ends["lost"].state, ends["b"].state) == ("failed", "finished")
    assert "nowhere" in ends["lost"].reason


def test_what_is_to_be_done_with_a_finished_cell_may_fail_it(make):
    def on_finished(cell):
        raise slots.UserError("the disk is full")

    swept = Sweep([make("a", BEGIN + FINISH)], [Slot("here")], Reporter(), on_finished).run()
    assert [(end.state, end.reason) for end in swept.ends] == [("failed", "the disk is full")]


def when(condition, then):
    """Does something as soon as a condition holds, from another thread."""

    def wait():
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        then()

    threading.Thread(target=wait, daemon=True).start()


def ready(*cells):
    return lambda: all((cell.directory.path / "ready").exists() for cell in cells)


def tell(*signums):
    def send():
        for signum in signums:
            os.kill(os.getpid(), signum)
            time.sleep(0.2)  # else two of a kind may be one

    return send


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_has_all_save_and_nothing_new_begin(make, signum):
    if signal.getsignal(signum) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")
    cells = [make(name, BEGIN + SAVE) for name in "abc"]
    when(ready(*cells[:2]), tell(signum))
    ends, said, told = sweep(cells)
    assert told == signum
    assert {name: end.state for name, end in ends.items()} == {"a": "stopped", "b": "stopped"}
    assert all((cell.directory.path / "saved").exists() for cell in cells[:2])
    assert not cells[2].directory.path.exists()
    assert said[-2:] == ["[1/3] a: stopped", "[2/3] b: stopped"]


def test_a_second_ctrl_c_ends_them_at_once(make):
    cells = [make(name, BEGIN + STALL) for name in "ab"]
    when(ready(*cells), tell(signal.SIGINT, signal.SIGINT))
    begun = time.monotonic()
    ends, _, told = sweep(cells)
    assert time.monotonic() - begun < 30
    assert told == signal.SIGINT
    assert {(end.state, end.reason) for end in ends.values()} == {
        ("stopped", "killed before it had saved")
    }


def test_a_closing_terminal_s_second_signal_does_not_end_what_saves(make):
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")
    cell = make("a", BEGIN + SAVE.replace("(run /", "time.sleep(1.5); (run /", 1))
    when(ready(cell), tell(signal.SIGHUP, signal.SIGHUP, signal.SIGTERM))
    ends, *_ = sweep([cell])
    assert ends["a"].reason == "stopped"
    assert (cell.directory.path / "saved").exists()


def test_a_cell_that_is_stopped_by_itself_is_no_failure_and_the_others_go_on(make):
    alone = make("alone", BEGIN + "sys.exit(143)")
    ends, said, told = sweep([alone, *(make(name, BEGIN + FINISH) for name in "bc")])
    assert [ends[name].state for name in ("alone", "b", "c")] == ["stopped", "finished", "finished"]
    assert "[1/3] alone: stopped" in "\n".join(said)
    assert told is None
    assert not alone.directory.failure_file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of that")
@pytest.mark.parametrize("outlives", [False, True])
def test_only_what_is_to_outlive_its_parent_does(make, outlives, tmp_path):
    """The parent is killed, and a child of reslab's that has only begun sees to itself."""
    from_reslab = f"from reslab.jobs.parent import end_with_parent\n{BEGIN}"
    ending = f"{from_reslab}signal.signal(15, lambda *x: sys.exit((run / 'saved').touch()))\n"
    cell = make(
        "child", f"{ending}end_with_parent()\n(run / 'ready').touch()\ntime.sleep(2){FINISH}"
    )
    pid = os.fork()
    if pid == 0:
        Pool([Slot("here")], outlives=outlives).start(cell)
        while True:
            time.sleep(1)
    path = cell.directory.path
    wait_until(lambda: (path / "ready").exists())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: (path / "saved").exists() or (path / "ended").exists())
    assert (path / "ended").exists() == outlives


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@dataclass(eq=False)
class Under:
    """A job under way of which a progress is known."""

    cell: Cell
    seconds: float


def progress(left):
    return Progress(1, 2, 1, 2, 0.5, None, 0.1, None, left)


def test_the_time_left_is_what_remains_over_all_slots(make, tmp_path):
    done = Ended(make("done", ""), "finished", "", 10.0)
    running, waiting = Under(make("running", ""), 4.0), [make("w", "", work=2.0), make("v", "")]
    assert seconds_left([], [running], waiting, 2) is None
    # 10 s a unit of work: the running one has 6 s to go, those that wait take 20 and 10.
    assert seconds_left([done], [running], waiting, 2) == pytest.approx(18)
    running.cell.directory.path.mkdir()
    progress(16.0).write(running.cell.directory.progress_file)
    # It says 16 s, 20 s in all: a unit takes 15 s.
    assert seconds_left([done], [running], waiting, 2) == pytest.approx((16 + 45) / 2)
    assert seconds_left([done], [running], [], 2) == pytest.approx(16), "no two share a cell"
    failed = Ended(make("f", ""), "failed", "", 0.1)
    assert seconds_left([done, failed], [], waiting, 1) == pytest.approx(30)
    assert seconds_left([done], [], [], 1) is None


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
