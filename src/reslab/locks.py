"""Locks on files that go when their holder does, on whatever file system they lie."""

import contextlib
import errno
import fcntl
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
from filelock import BaseFileLock, FileLock, LeaseCompromise, SoftFileLease

LEASE_SECONDS = 60.0
MOUNTS = Path("/proc/self/mountinfo")  # of Linux
# File systems of networks on which `flock` is answered by each machine for itself: by the kernel,
# where their own driver has no such locks, or as their settings are unless these were changed.
FOR_ITSELF = ("beegfs", "fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse")
# Options of a mount with which it is so: of NFS, Lustre, OCFS2 and GFS2, SMB, and AFS.
MADE_LOCAL = (
    *("nolock", "local_lock=all", "local_lock=flock"),
    *("localflock", "localflocks", "nobrl", "flock=local"),
)
NO_FLOCK = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)


@contextmanager
def held(path: Path, timeout: float = -1) -> Iterator[None]:
    """Holds a lock while it is entered.

    The system lets go of it when the process ends, however it ends. On a file system without such
    locks, or with locks of which other machines know nothing, it is a lease, a file beside it:
    whoever holds it says so every 20 seconds, and a minute after the last time it is another's to
    take; a holder that finds it taken ends at once, for what it writes would be mixed with the
    other's.

    Args:
        path: The lock's file; it stays.
        timeout: Seconds to wait for another holder; negative: for as long as it takes.

    Raises:
        filelock.Timeout: Another process holds it.
        OSError: The file cannot be written.
    """
    lock: BaseFileLock = FileLock(path)
    if not _has_flock(path):
        lock = SoftFileLease(lease(path), lease_duration=LEASE_SECONDS, on_compromise=_end)
        timeout = max(timeout, 1.5 * LEASE_SECONDS) if timeout >= 0 else timeout  # to see it expire
    with lock.acquire(timeout):
        yield


def is_held(path: Path) -> bool | None:
    """Whether a process holds a lock, asked without taking it.

    None where that cannot be told: the file may not be read. Nothing is written but, where there is
    a lease, a file without a name that tells the time.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return _is_leased(path)
    else:
        return _is_local(os.fstat(file).st_dev) and _is_leased(path)
    finally:
        os.close(file)


def is_alive(pid: int, started: float, host: str) -> bool:
    """Whether a process of this host is still the one that started then (seconds since 1970)."""
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def has_open(pid: int, path: Path) -> bool | None:
    """Whether a process of this machine has this very file open, of whatever name; no copy of it.

    None where that cannot be told: there is no such file, the process is another user's, or the
    system does not say.
    """
    try:
        ours = path.stat()
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed just now, or a pipe
                if os.path.samestat(ours, file.stat()):
                    return True
    except OSError:
        return None
    return False


def may_hold(pid: int, path: Path) -> bool:
    """Whether nothing says that a process does not hold a lock; a lease is open nowhere."""
    return lease(path).exists() or has_open(pid, path) is not False


def is_for_all(file: int) -> bool:
    """Whether an open file's lock is the system's, and binds all machines that see the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in NO_FLOCK:
            return False
        raise
    return not _is_local(os.fstat(file).st_dev)


def _has_flock(path: Path) -> bool:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return is_for_all(file)
    finally:
        os.close(file)


@cache
def _is_local(device: int) -> bool:
    """Whether each machine has locks of its own on the file system of that device number."""
    try:
        mounts = MOUNTS.read_text(errors="replace")
    except OSError:  # another system, of which nothing is known
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        # 36 35 0:42 / /home rw,relatime shared:1 - nfs server:/home rw,vers=3,local_lock=none
        of_the_mount, _, of_the_file_system = line.partition(" - ")
        own, others = of_the_mount.split(), of_the_file_system.split()
        if own[2:3] == [number] and others:
            options = {*",".join([*own[5:6], *others[2:]]).split(",")}
            return others[0] in FOR_ITSELF or not options.isdisjoint(MADE_LOCAL)
    return False


def lease(path: Path) -> Path:
    """The file that takes a lock's place where the file system has none."""
    return path.with_name(f"{path.name}.lease")


def _is_leased(path: Path) -> bool:
    try:
        touched = lease(path).stat().st_mtime
    except OSError:
        return False
    return _now_in(path.parent) - touched < LEASE_SECONDS


def _now_in(folder: Path) -> float:
    """The time, in seconds since 1970, by the clock that sets the times of the files in a folder.

    That is often a server's. Where nothing can be written it is taken to be this machine's.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def _end(compromise: LeaseCompromise) -> None:
    text = (
        f"reslab: {compromise.lock_file} is no longer this process' ({compromise.reason}): it ends "
        f"without saving, since another one may go on from its last checkpoint\n"
    )
    os.write(2, text.encode())
    os.kill(os.getpid(), signal.SIGKILL)
