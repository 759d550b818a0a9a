"""What signals do to cells, and the end of the process that has started them."""

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from cells import BEGIN, FINISH, SAVE, STALL, Listener, sweep
from processes import wait_for
from reslab.jobs.pool import Pool
from reslab.jobs.slots import Slot

STOPPING = "stopping after this step; Ctrl-C again stops at once"


@contextmanager
def told_when_ready(cells, *signums, listener=None):
    """Signals this process as soon as all cells are ready; all has been sent when it ends.

    With a listener the second signal comes after what is said of the first: two may be one, where
    this process gets little time.
    """
    sent = cells[0].directory.path / "told"

    def tell():
        wait_for(lambda: all((cell.directory.path / "ready").exists() for cell in cells))
        for signum in signums:
            os.kill(os.getpid(), signum)
            wait_for(lambda: listener is None or STOPPING in listener.said)
            time.sleep(0.2)
        sent.touch()

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    yield
    telling.join()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_has_all_save_and_nothing_new_begin(make, signum):
    if signal.getsignal(signum) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")
    cells = [make(name, BEGIN + SAVE) for name in "abc"]
    with told_when_ready(cells[:2], signum):
        ends, said, told = sweep(cells)
    assert told == signum
    assert {name: end.state for name, end in ends.items()} == {"a": "stopped", "b": "stopped"}
    assert all((cell.directory.path / "saved").exists() for cell in cells[:2])
    assert not cells[2].directory.path.exists()
    assert sorted(said[-2:]) == ["[1/3] a: stopped", "[2/3] b: stopped"]


def test_a_second_ctrl_c_ends_them_at_once(make):
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")
    cells = [make(name, BEGIN + STALL) for name in "ab"]
    begun = time.monotonic()
    listener = Listener()
    with told_when_ready(cells, signal.SIGINT, signal.SIGINT, listener=listener):
        ends, _, told = sweep(cells, listener=listener)
    assert time.monotonic() - begun < 30
    assert told == signal.SIGINT
    assert {(end.state, end.reason) for end in ends.values()} == {
        ("stopped", "killed before it had saved")
    }


def test_a_closing_terminal_s_second_signal_does_not_end_what_saves(make):
    if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")
    until_told = "\n    while not (run / 'told').exists(): time.sleep(0.02)\n    (run /"
    cell = make("a", BEGIN + SAVE.replace("(run /", until_told, 1))
    with told_when_ready([cell], signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
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
    wait_for(lambda: (path / "ready").exists())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: (path / "saved").exists() or (path / "ended").exists())
    assert (path / "ended").exists() == outlives
