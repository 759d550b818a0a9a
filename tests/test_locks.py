"""Locks of real processes, on a file system with locks and on one that has none."""

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
import time
from types import SimpleNamespace

import filelock
import pytest

from conftest import open_to_others
from mount import mounted_without_locks
from processes import run, start, wait_for
from reslab import locks
from reslab.runs.store import list_runs

_context = multiprocessing.get_context("fork")


def hold(path, host, flock, ready):
    """Holds a lock until it is killed; without `flock`, as on a file system that has none."""
    if not flock:
        take_flock_away()
    if host:
        socket.gethostname = lambda: host
    locks.LEASE_SECONDS = 2.0
    with locks.held(path):
        ready.set()
        time.sleep(600)


def take_flock_away():
    def refuse(*arguments):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    fcntl.flock = refuse


@pytest.fixture
def holder(tmp_path):
    """Starts a process that holds the lock; ends all of them in the end."""
    started = []

    def start(path=tmp_path / "lock", *, host=None, flock=True):
        ready = _context.Event()
        process = _context.Process(target=hold, args=(path, host, flock, ready))
        process.start()
        started.append(process)
        assert ready.wait(30)
        return process

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture(params=["pretended", "mounted"])
def no_flock(request, monkeypatch, tmp_path):
    """A lock's place where the system has none, and what is to be said to `holder`."""
    monkeypatch.setattr(locks, "LEASE_SECONDS", 2.0)
    if request.param == "pretended":
        monkeypatch.setattr(fcntl, "flock", fcntl.flock)
        take_flock_away()
        yield tmp_path / "lock", {"flock": False}
        return
    with mounted_without_locks(tmp_path) as place:
        yield place / "lock", {}


def seconds_to_take(path, timeout):
    begun = time.monotonic()
    with locks.held(path, timeout=timeout):
        return time.monotonic() - begun


def test_a_lock_is_one_process_s_and_goes_with_it_when_it_is_killed(holder, tmp_path):
    process = holder()
    assert locks.is_held(tmp_path / "lock")
    with pytest.raises(filelock.Timeout), locks.held(tmp_path / "lock", timeout=0.2):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert locks.is_held(tmp_path / "lock") is False
    assert seconds_to_take(tmp_path / "lock", 5) < 1


def test_asking_takes_nothing_and_makes_nothing(tmp_path):
    assert locks.is_held(tmp_path / "lock") is False
    assert list(tmp_path.iterdir()) == []
    with locks.held(tmp_path / "lock"):
        before = sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir())
        assert locks.is_held(tmp_path / "lock") is True
        assert sorted(path.stat().st_mtime_ns for path in tmp_path.iterdir()) == before


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not say")
def test_a_process_has_the_lock_open_that_it_holds_and_no_file_that_looks_like_it(holder, tmp_path):
    lock, copy = tmp_path / "lock", tmp_path / "copy"
    pid = holder().pid
    shutil.copy2(lock, copy)
    assert locks.has_open(pid, lock) is True
    assert locks.has_open(pid, copy) is False
    assert locks.has_open(os.getpid(), lock) is False, "this process does not hold it"
    lock.replace(tmp_path / "renamed")
    assert locks.has_open(pid, tmp_path / "renamed") is True
    assert locks.has_open(pid, lock) is None, "there is none"
    lock.touch()
    assert locks.has_open(pid, lock) is False, "another took its place"
    assert locks.has_open(2**22 - 1, lock) is None
    locks.lease(lock).touch()
    assert locks.may_hold(pid, lock), "who has a lease has no file open"


SHARED = "shared:1 -"
KINDS = {  # the kind, where it comes from, and its options, as Linux shows them
    "nfs": f"rw,relatime {SHARED} nfs4 server:/home rw,vers=4.2,hard,proto=tcp,local_lock=none",
    "nfs nolock": f"rw,relatime {SHARED} nfs server:/home rw,vers=3,nolock,local_lock=all,addr=::1",
    "nfs local_lock=flock": f"rw {SHARED} nfs server:/a\\040home rw,vers=3,local_lock=flock",
    "nfs local_lock=posix": f"rw {SHARED} nfs server:/home rw,vers=3,local_lock=posix",
    "lustre": f"rw,noatime {SHARED} lustre 10.0.0.1@tcp:/lustre rw,flock,lazystatfs",
    "lustre localflock": "rw - lustre 10.0.0.1@tcp:/lustre rw,checksum,localflock,lazystatfs",
    "ocfs2 localflocks": "rw - ocfs2 /dev/drbd0 rw,localflocks,heartbeat=local",
    "smb nobrl": "rw shared:1 master:2 - cifs //server/home rw,vers=3.1.1,nobrl",
    "smb": f"rw {SHARED} cifs //server/home rw,vers=3.1.1,cache=strict",
    "beegfs": "rw - beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/beegfs-client.conf",
    "sshfs": "rw,nosuid,nodev - fuse.sshfs me@server:/home rw,user_id=0,group_id=0",
    "ext4": f"rw,relatime {SHARED} ext4 /dev/nolock rw,errors=remount-ro",
}
OF_ALL = ("nfs", "nfs local_lock=posix", "lustre", "smb", "ext4")


@pytest.fixture
def mounted_as(tmp_path, monkeypatch):
    """Has the system say how the folder of this test is mounted."""
    monkeypatch.setattr(locks, "LEASE_SECONDS", 2.0)

    def say(kind):
        device = tmp_path.stat().st_dev
        here = f"{os.major(device)}:{os.minor(device)} / /home {KINDS[kind]}"
        lines = ["22 1 0:0 / /other rw - beegfs x rw", "", "odd", f"36 35 {here}"]
        monkeypatch.setattr(locks, "MOUNTS", tmp_path / "mountinfo")
        locks.MOUNTS.write_text("\n".join(lines) + "\n")
        locks._is_local.cache_clear()
        return tmp_path / "lock"

    yield say
    locks._is_local.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_lock_that_only_this_machine_would_see_is_a_lease(kind, mounted_as):
    lock = mounted_as(kind)
    assert not locks.is_held(lock)
    with locks.held(lock, timeout=0.1):
        assert locks.lease(lock).exists() == (kind not in OF_ALL)
        assert locks.is_held(lock)
    assert not locks.is_held(lock)


@pytest.mark.parametrize("ahead", [-90, 0, 90])
@pytest.mark.parametrize("may_write", [True, False])
def test_a_lease_is_as_old_as_the_disk_s_own_clock_says(ahead, may_write, mounted_as, monkeypatch):
    """Whatever this machine's says, unless it may not write there."""
    lock = mounted_as("lustre localflock")
    monkeypatch.setattr(locks, "LEASE_SECONDS", 60.0)
    monkeypatch.setattr(locks, "time", SimpleNamespace(time=lambda: time.time() + ahead))

    def refuse(**where):
        raise PermissionError(errno.EACCES, "Permission denied")

    if not may_write:
        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with locks.held(lock):
        files = set(lock.parent.iterdir())
        assert locks.is_held(lock) == (may_write or ahead < 60)
        for seconds in (30, 70):
            then = time.time() - seconds
            os.utime(locks.lease(lock), (then, then))
            age = seconds + (0 if may_write else ahead)
            assert locks.is_held(lock) == (age < 60)
        assert set(lock.parent.iterdir()) == files


@pytest.mark.slow
def test_where_locks_are_each_machine_s_own_those_of_another_machine_are_seen(holder, mounted_as):
    lock = mounted_as("lustre localflock")
    process = holder(lock, host="another-node")
    with lock.open() as file:  # as a kernel that knows of no other
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert locks.is_held(lock)
    with pytest.raises(filelock.Timeout), locks.held(lock, timeout=0.2):
        pass
    assert process.is_alive()


def test_where_the_system_does_not_say_how_it_is_mounted_its_locks_are_trusted(
    tmp_path, mounted_as, monkeypatch
):
    lock = mounted_as("beegfs")
    monkeypatch.setattr(locks, "MOUNTS", tmp_path / "nowhere")
    with locks.held(lock):
        assert not locks.lease(lock).exists()


@pytest.mark.slow
def test_without_locks_of_the_system_too_it_is_one_process_s(holder, no_flock):
    lock, how = no_flock
    process = holder(lock, **how)
    assert locks.is_held(lock)
    with pytest.raises(filelock.Timeout), locks.held(lock, timeout=0.2):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert seconds_to_take(lock, 5) < 5, "its process is known to be dead"


@pytest.mark.long
def test_what_a_dead_node_left_is_taken_after_a_lease_and_not_before(holder, no_flock):
    """Nobody here can ask whether a process of another host lives."""
    lock, how = no_flock
    process = holder(lock, host="another-node", **how)
    with pytest.raises(filelock.Timeout), locks.held(lock, timeout=0.2):
        pass  # it answers
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert 1 < seconds_to_take(lock, 20) < 10
    assert locks.is_held(lock) is False


@pytest.mark.slow
def test_a_holder_whose_lease_was_taken_ends(holder, no_flock):
    """A node that hung and came back must not write beside the one that took its place."""
    lock, how = no_flock
    process = holder(lock, host="another-node", **how)
    os.kill(process.pid, signal.SIGSTOP)
    with locks.held(lock, timeout=20):
        os.kill(process.pid, signal.SIGCONT)
        process.join(20)
        assert process.exitcode == -signal.SIGKILL


@pytest.mark.slow
def test_a_run_trains_is_seen_stops_and_goes_on_on_a_mount_without_locks(tmp_path):
    asked = ("train", "dataset=digits", "model=baseline_cnn", "model.widths=[8,8,8]")
    with mounted_without_locks(tmp_path) as place:
        asked = (*asked, "trainer.max_epochs=20", "logger=none", f"runs_dir={place}")
        first = start(tmp_path, *asked)
        (directory,) = wait_for(lambda: [one for one in list_runs(place) if one.progress()])
        assert directory.state() == "running"
        first.send(signal.SIGTERM)
        assert first.wait().code == 128 + signal.SIGTERM
        assert directory.state() == "interrupted"
        assert run(tmp_path, *asked).code == 0
        assert directory.state() == "finished"


def test_a_file_that_may_not_be_read_says_nothing(holder, tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root, to be another user")
    holder()
    (tmp_path / "lock").chmod(0o600)
    open_to_others(tmp_path)
    os.seteuid(65534)
    try:
        assert locks.is_held(tmp_path / "lock") is None
    finally:
        os.seteuid(0)


def test_a_process_is_known_by_its_start_too():
    import psutil

    started = psutil.Process().create_time()
    host = os.uname().nodename
    assert locks.is_alive(os.getpid(), started, host)
    assert not locks.is_alive(os.getpid(), started - 60, host), "the number is used again"
    assert not locks.is_alive(os.getpid(), started, "another-node")
    assert not locks.is_alive(2**22 - 1, started, host)
