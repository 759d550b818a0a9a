"""A fork server: the processes of runs, forked from one that has imported what a run needs.

Python takes seconds to import PyTorch, Lightning and torchmetrics, on a slow core as many as a
short run trains. Here they are imported once for all runs of a command; a run is then a copy of
that process, which shares their memory, too.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, NoReturn

import psutil

from reslab.jobs.parent import VARIABLE
from reslab.runs.sources import code_digest

SECONDS_BETWEEN_LOOKS = 0.05
LARGEST_MESSAGE = 65_536  # in bytes: a longer command has a process that is not forked
CHILD, NOBODY = 0, -1  # in place of a process: within it, and where none was forked
RESLAB = (sys.executable, "-m", "reslab")


def is_forked(command: list[str]) -> bool:
    """Whether a command is one of reslab's, for which the server has imported all."""
    return tuple(command[: len(RESLAB)]) == RESLAB


class UnforkedError(Exception):
    """A command cannot be forked here."""


class Forked:
    """A process that a server has forked, to be asked as one of `subprocess` is."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server, self.pid = server, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, negative that of a signal; None as long as it goes on."""
        self._server.look()
        if self.returncode is None and self._server.is_gone and _is_gone(self.pid):
            self.returncode = -signal.SIGKILL  # which is what the server has got
        return self.returncode


class ForkServer:
    """A process that forks others, which end with this one: they save, and so does the server.

    Args:
        folder: Where its commands are given.
        variables: Their environment. Libraries read it as they are imported, so a command with
            another one needs another server.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder, self.variables = folder, dict(variables)
        self._running: dict[int, Forked] = {}
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "reslab.jobs.forkserver", str(theirs.fileno())],
                cwd=folder,
                env=self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # so that a terminal's Ctrl-C is not for its processes
                pass_fds=[theirs.fileno()],
            )
        weakref.finalize(self, _end, self._connection, self._process)

    def fork(self, command: list[str], output: BinaryIO) -> Forked:
        """Runs a command of reslab's in a process of its own, the leader of its group.

        The first waits until the server has imported all. Code that has been edited since is run by
        processes that import it: it is what their records name.

        Args:
            command: The command line.
            output: What is printed goes there.

        Raises:
            UnforkedError: It is another command, it is too long, the code has been edited, or the
                server is gone.
        """
        message = json.dumps(command).encode()
        if not is_forked(command) or len(message) > LARGEST_MESSAGE:
            raise UnforkedError
        try:
            socket.send_fds(self._connection, [message], [output.fileno()])
            while (begun := self._receive()) is None:
                pass
        except OSError as error:
            raise UnforkedError from error
        if begun == NOBODY:
            raise UnforkedError
        self._running[begun] = process = Forked(self, begun)
        return process

    @property
    def is_gone(self) -> bool:
        """Whether it has ended; those that it has forked save then, and end."""
        return self._process.poll() is not None

    def look(self) -> None:
        """Notes down of what it has forked what has ended since."""
        with contextlib.suppress(OSError):
            while select.select([self._connection], [], [], 0)[0]:
                self._receive()

    def _receive(self) -> int | None:
        """Takes a message: notes down what has ended, or gives what has begun.

        Raises:
            OSError: The server is gone.
        """
        message = self._connection.recv(LARGEST_MESSAGE)
        if not message:
            self._process.wait()
            raise ConnectionResetError
        pid, status = json.loads(message)
        if status is None:
            return int(pid)
        self._running.pop(pid).returncode = status
        return None


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    connection.close()
    process.kill()  # it may be importing
    process.wait()


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # nobody may have asked for it
    except psutil.NoSuchProcess:
        return True


def _serve(connection: socket.socket) -> NoReturn:
    """Forks what it is told to and says what has ended, until the other side is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, the system would take what has ended
    digest = code_digest()
    gc.disable()
    import reslab.runs.execute  # noqa: F401  # with all that a run needs

    gc.enable()
    children: set[int] = set()
    while True:
        if select.select([connection], [], [], SECONDS_BETWEEN_LOOKS)[0]:
            message, files, _, _ = socket.recv_fds(connection, LARGEST_MESSAGE, 1)
            if not message:
                os._exit(0)  # it has nothing to clear away, and with it end those it has forked
            server, pid = os.getpid(), _fork() if code_digest() == digest else NOBODY
            if pid == CHILD:
                connection.close()
                _become(json.loads(message), files[0], server)
            os.close(files[0])
            if pid != NOBODY:
                os.setpgid(pid, pid)  # before anyone is told of it, who may send the group a signal
                children.add(pid)
            _say(connection, pid, None)
        for pid in tuple(children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                children.remove(pid)
                _say(connection, pid, os.waitstatus_to_exitcode(status))


def _fork() -> int:
    try:
        return os.fork()
    except OSError:  # there is no room: a process of its own finds some, or says why not
        return NOBODY


def _say(connection: socket.socket, pid: int, status: int | None) -> None:
    with contextlib.suppress(ConnectionError):  # the other side is gone, and is asked next
        connection.send(json.dumps([pid, status]).encode())


def _become(command: list[str], output: int, server: int) -> NoReturn:
    """Does what a process of its own does when it is started with the command."""
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    os.close(output)
    os.environ[VARIABLE] = str(server)
    sys.argv = command[len(RESLAB) - 1 :]
    runpy.run_module("reslab", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
