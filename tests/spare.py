"""Processes that are forked ahead and begin later, in place of such as import PyTorch for seconds.

They are real ones all the same, children of the process that starts them, with the folder, the
environment, the session and the files that they are started with.
"""

import contextlib
import fcntl
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from typing import NoReturn

HIGH = 200  # a file's number that no process here gets to

_execute_child = subprocess.Popen._execute_child
_spares: list[socket.socket] = []
_pids: list[int] = []


def have(number: int) -> None:
    """Has so many of those that this process starts by `python -m` be forked now."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(number)]
    for _, theirs in pairs:
        pid = os.fork()
        if not pid:
            for ours, _ in pairs:
                ours.close()
            _wait(theirs)
        _pids.append(pid)
    for ours, theirs in pairs:
        theirs.close()
        _spares.append(ours)
    subprocess.Popen._execute_child = _begin


def _begin(
    started, args, executable, preexec, close, pass_fds, cwd, env, info, flags, shell,
    p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, restore, gid, gids, uid, umask,
    new_session, *others,
):  # fmt: skip
    """What `subprocess` begins a process by: by a spare one, as long as there are any."""
    command = [arg for arg in args if arg != "-u"]
    if command[:2] != [sys.executable, "-m"] or not _spares:
        return _execute_child(
            started, args, executable, preexec, close, pass_fds, cwd, env, info, flags, shell,
            p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, restore, gid, gids, uid, umask,
            new_session, *others,
        )  # fmt: skip
    streams = (p2cread, c2pwrite, errwrite)
    files = {number: fd if fd >= 0 else number for number, fd in enumerate(streams)}
    files |= {fd: fd for fd in pass_fds}
    told = [command, os.fspath(cwd or "."), dict(env or os.environ), list(files), new_session]
    message = os.memfd_create("spare")  # a socket's message may not be as long
    os.write(message, json.dumps(told).encode())
    with _spares.pop(0) as connection:
        socket.send_fds(connection, [b"."], [message, *files.values()])
        connection.recv(1)  # it is in its session
    os.close(message)
    started.pid, started._child_created = _pids.pop(0), True
    started._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)


def _wait(connection: socket.socket) -> NoReturn:
    subprocess.Popen._execute_child = _execute_child
    _spares.clear()
    _pids.clear()
    code = 1
    try:
        message, files, _, _ = socket.recv_fds(connection, 1, 50)
        code = _become(connection, files) if message else 0
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _become(connection: socket.socket, given: list[int]) -> int:
    """Does what a process of its own does when it is started with the command."""
    with open(given[0], "rb") as file:
        file.seek(0)
        command, folder, variables, numbers, new_session = json.loads(file.read())
    files = [fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH) for fd in given[1:]]
    answer = fcntl.fcntl(connection.detach(), fcntl.F_DUPFD, HIGH)
    os.closerange(3, HIGH)
    for number, fd in zip(numbers, files, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    if new_session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:0] = [os.getcwd(), *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import torch

    torch.set_num_threads(int(variables.get("OMP_NUM_THREADS", "1")))
    os.write(answer, b".")
    os.close(answer)
    sys.argv = command[2:]
    code = 0
    try:
        runpy.run_module(command[2], run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code
