"""Stopping a run and going on with it, by its directory alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reslab import locks
from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.pins import as_typed
from reslab.runs.request import TARGETS, THREADS, Request
from reslab.runs.store import RunDirectory

SECONDS_BETWEEN_LOOKS = 0.2
SAFE_PATH = {"PYTHONSAFEPATH": "1"}  # has Python find no module in the folder where it starts
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop(directory: RunDirectory, reporter: Reporter = SILENT) -> None:
    """Has a running run save and end, and waits until it has.

    Args:
        directory: The run.
        reporter: Told that it was asked to.

    Raises:
        UserError: It is not running, or its process is not this user's or not on this machine.
    """
    if not directory.is_running():
        raise UserError(f"{directory.path} is not running: it is {directory.state()}")
    request = _request(directory, str(directory.path))
    if not request.is_alive:
        raise UserError(
            f"{directory.path} runs on {request.host} (process {request.pid}), not here: "
            f"stop it there"
        )
    if not locks.may_hold(request.pid, directory.lock_file):
        raise UserError(
            f"{directory.path} is run by another process than {directory.request_file.name} names "
            f"({request.pid}), as one that just begins: try again in some seconds"
        )
    try:
        os.kill(request.pid, signal.SIGTERM)
    except PermissionError as error:
        raise UserError(
            f"{directory.path} is run by {request.user} (process {request.pid}), who alone can "
            f"stop it"
        ) from error
    reporter.say(f"{directory.path}: stopping")
    while request.is_alive and directory.is_running():
        time.sleep(SECONDS_BETWEEN_LOOKS)


def resume(directory: RunDirectory) -> int:
    """Goes on with a run as it was asked for, where and how its command was given.

    What this process is told by a signal, the run is told: it saves, and both end.

    Returns:
        The run's exit status.

    Raises:
        UserError: It is at its end, running or queued, or what it needs is not there.
    """
    state = directory.state()
    if state in ("finished", "running", "queued"):
        raise UserError(f"{directory.path} is {state}: there is nothing to resume")
    if state == "untested":
        raise UserError(
            f"{directory.path} is trained, and was asked to end before its test: "
            f"`reslab train --from {directory.name}` reads the test set"
        )
    request = request_to_repeat(directory, str(directory.path))
    left = {THREADS} if request.variables.get(TARGETS) else {THREADS, TARGETS}
    kept = {name: value for name, value in os.environ.items() if name not in left}
    environment = kept | SAFE_PATH
    if request.threads:
        environment[THREADS] = request.threads
    return _run(resume_command(directory, request), Path(request.folder), environment)


def resume_command(directory: RunDirectory, request: Request) -> list[str]:
    """The command that goes on with a run, to be given in the folder where it was begun."""
    return train_command(request.overrides, request.config_dirs, directory)


def train_command(
    overrides: Sequence[str], config_dirs: Sequence[str], directory: RunDirectory
) -> list[str]:
    """The command of a run that lies in a directory, whatever its overrides would call that."""
    folders = [f"--config-dir={folder}" for folder in config_dirs]
    return [
        *(sys.executable, "-m", "reslab", "train", *folders),
        *overrides,
        f"hydra.run.dir={as_typed(str(directory.path.resolve()))}",
    ]


def request_to_repeat(directory: RunDirectory, called: str) -> Request:
    """What a run was asked for, all of which is still there.

    Args:
        directory: The run.
        called: What errors call it.

    Raises:
        UserError: There is no request, a folder of its is gone, or it runs code of its own, which
            this process was not told to.
    """
    request = _request(directory, called)
    for folder in (request.folder, *request.config_dirs):
        if not Path(folder).is_dir():
            raise UserError(f"{called} was begun with {folder}, which is not there")
    if lacking := request.asked_of(os.environ):
        raise UserError(
            f"{called} runs code of its own: if you trust it, put {lacking} before the command"
        )
    return request


def _request(directory: RunDirectory, called: str) -> Request:
    request = directory.request()
    if request is None:
        raise UserError(
            f"{called} has no {directory.request_file.name}: it was begun by an older "
            f"version; give its command again"
        )
    return request


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Runs a command in a session of its own, so that it is told of a signal once, by us."""
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)
    with signals_heard(process.send_signal):
        status = process.wait()
    return status if status >= 0 else 128 - status  # as a shell says it


@contextmanager
def signals_heard(tell: Callable[[int], None]) -> Iterator[None]:
    """Has `tell` be called with the number of a signal that would stop this process.

    What is ignored, as by `nohup`, stays so.
    """
    heard = [signum for signum in STOPPING if signal.getsignal(signum) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, lambda one, frame: tell(one)) for signum in heard}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
