"""Two commands of one machine: a GPU is one's at a time, however the other ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cells import BEGIN, FINISH, Listener
from processes import wait_for
from reslab.jobs import slots
from reslab.jobs.claims import TakenError, claimed, is_free
from reslab.jobs.pool import Pool
from reslab.jobs.slots import Slot, find_slots
from reslab.jobs.sweep import Sweep

SLEEP = f"{BEGIN}time.sleep(60)"
WAITING = "waiting for a GPU: other commands have runs on all of them"


def test_a_gpu_is_one_command_s_until_its_run_has_ended(make, machine):
    machine("0")
    first, second = Pool(find_slots()), Pool(find_slots())
    job = first.start(make("first", SLEEP))
    assert not first.has_room
    assert not second.has_room
    with pytest.raises(TakenError):
        second.start(make("second", SLEEP))
    assert not make("second", SLEEP).output.exists()
    job.send(signal.SIGKILL)
    wait_for(lambda: second.has_room)
    second.start(make("second", SLEEP)).send(signal.SIGKILL)


def test_a_run_that_outlives_its_command_keeps_its_gpu(make, machine, tmp_path):
    """As a studio's does, whose server is killed."""
    machine("0")
    code = (
        "import os, pathlib, sys\n"
        "from cells import Script\n"
        "from reslab.jobs.pool import Pool\n"
        "from reslab.jobs.slots import find_slots\n"
        "from reslab.runs.store import RunDirectory\n"
        "cell = Script((sys.argv[1],), RunDirectory(pathlib.Path(sys.argv[2])), 'one')\n"
        "print(Pool(find_slots(), outlives=True).start(cell).pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, SLEEP, str(tmp_path / "one")]
    where = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run(command, env=where, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    (slot,) = find_slots()
    assert not is_free(slot)
    os.kill(int(done.stdout), signal.SIGKILL)
    wait_for(lambda: is_free(slot))


def test_another_gpu_is_taken_before_one_waits(make, machine):
    machine("0,1")
    other = Pool(find_slots(1))
    held = other.start(make("held", SLEEP))
    finishing = [make(name, f"{BEGIN}{FINISH}") for name in "ab"]
    ends = Sweep(finishing, find_slots(), Listener()).run().ends
    held.send(signal.SIGKILL)
    assert [end.state for end in ends] == ["finished"] * 2
    gpus = {(cell.directory.path / "begun").read_text().split()[1] for cell in finishing}
    assert gpus == {"1"}, "the one that was free"


def test_a_sweep_waits_for_a_gpu_says_so_once_and_then_begins(make, machine):
    machine("0")
    held = Pool(find_slots()).start(make("held", SLEEP))
    listener, cell = Listener(), make("after", f"{BEGIN}{FINISH}")
    freed = []

    def free():
        wait_for(lambda: WAITING in listener.said)
        time.sleep(0.5)
        freed.append(time.time())
        held.send(signal.SIGKILL)

    thread = threading.Thread(target=free)
    thread.start()
    (end,) = Sweep([cell], find_slots(), listener).run().ends
    thread.join()
    assert end.state == "finished"
    assert listener.said.count(WAITING) == 1
    assert float((cell.directory.path / "begun").read_text().split()[0]) > freed[0]


def test_who_shares_shares_with_who_shares_alone(machine):
    machine("0")
    (alone,), shared = find_slots(), find_slots(None, runs_per_gpu=2)
    with claimed(shared[0]), claimed(shared[1]):
        assert not is_free(alone)
        assert is_free(shared[0]), "another command that shares it, too"
    with claimed(alone):
        assert not is_free(shared[0])


def test_a_gpu_is_the_same_by_its_place_and_by_its_uuid(machine, tmp_path, monkeypatch):
    machine("1")
    (by_place,) = find_slots()
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho '0, GPU-1a5'\necho '1, GPU-2b6'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    slots._known_gpus.cache_clear()
    machine()
    other, by_uuid = find_slots()
    with claimed(by_place):
        assert not is_free(by_uuid)
        assert not is_free(Slot("by a part of its name", "GPU-2b"))
        assert is_free(other)
    slots._known_gpus.cache_clear()


def test_without_a_gpu_or_a_place_for_locks_nothing_is_claimed(machine, monkeypatch, tmp_path):
    machine("0")
    with claimed(Slot("all cores")) as files:
        assert files == ()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with claimed(find_slots()[0]):
        assert is_free(find_slots()[0])
