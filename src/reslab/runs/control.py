"""Stopping a run and going on with it, by its directory alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.started import VARIABLES, Started
from reslab.runs.store import RunDirectory

SECONDS_BETWEEN_LOOKS = 0.2


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
    started = _started(directory)
    if not started.is_alive:
        raise UserError(
            f"{directory.path} runs on {started.host} (process {started.pid}), not here: "
            f"stop it there"
        )
    try:
        os.kill(started.pid, signal.SIGTERM)
    except PermissionError as error:
        raise UserError(
            f"{directory.path} is run by {started.user} (process {started.pid}), who alone can "
            f"stop it"
        ) from error
    reporter.say(f"{directory.path}: stopping")
    while started.is_alive and directory.is_running():
        time.sleep(SECONDS_BETWEEN_LOOKS)


def resume(directory: RunDirectory) -> int:
    """Goes on with a run as it was asked for, where and how its command was given.

    What this process is told by a signal, the run is told: it saves, and both end.

    Returns:
        The run's exit status.

    Raises:
        UserError: It is finished or running, or what it needs is not there.
    """
    state = directory.state()
    if state in ("finished", "running"):
        raise UserError(f"{directory.path} is {state}: there is nothing to resume")
    started = _started(directory)
    for folder in (started.folder, *started.config_dirs):
        if not Path(folder).is_dir():
            raise UserError(f"{directory.path} was begun with {folder}, which is not there")
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES} | started.variables
    return _run(resume_command(directory, started), Path(started.folder), environment)


def resume_command(directory: RunDirectory, started: Started) -> list[str]:
    """The command that goes on with a run, to be given in the folder where it was begun."""
    folders = [f"--config-dir={folder}" for folder in started.config_dirs]
    place = str(directory.path.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    return [
        *(sys.executable, "-m", "reslab.cli", "train", *folders),
        *started.overrides,
        f"hydra.run.dir='{place}'",
    ]


def _started(directory: RunDirectory) -> Started:
    started = directory.started()
    if started is None:
        raise UserError(
            f"{directory.path} has no {directory.request_file.name}: it was begun by an older "
            f"version; give its command again"
        )
    return started


def _run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> int:
    """Runs a command in a session of its own, so that it is told of a signal once, by us."""
    process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)

    def tell(signum: int, frame: FrameType | None) -> None:
        process.send_signal(signum)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, tell) for signum in signals}
    try:
        return process.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
