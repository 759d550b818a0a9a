"""`reslab analyze` as processes of their own, which go on when the studio ends."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.studio.curves import tail

MOST_AT_ONCE = 4
BAR = re.compile(r"\d+%\|.*?\| *([\d.]+k?)/([\d.]+k?) (?:\[[^<]*<([\d:]+))?")  # tqdm's


@dataclass
class _Job:
    """One that was begun."""

    runs: list[str]
    kind: str
    words: str
    process: "subprocess.Popen[bytes]"
    log: Path
    stopping: bool = False

    def about(self, name: str) -> dict[str, Any]:
        """How far it is, or why it has ended."""
        *said, last = re.split(r"[\r\n]+", tail(self.log).rstrip()) or [""]
        bar, ended = BAR.search(last), self.process.poll()
        text = f"{bar[1]} of {bar[2]}{f', {bar[3]} left' if bar[3] else ''}" if bar else ""
        lines = [line for line in (*said, last) if line and not BAR.search(line)]
        if ended is not None:
            text = lines[-1] if lines else f"it ended with status {ended}"
        of = next((line for line in reversed(lines) if line.startswith(f"{self.kind} of ")), "")
        return {
            **{"job": name, "kind": self.kind, "words": self.words, "has_ended": ended is not None},
            **{"said": text, "of": of or self.kind, "stopping": self.stopping},
        }


class Analyzing:
    """Those that were begun since the server began, with what they say in a folder of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="reslab-studio-")
        self._jobs: dict[str, _Job] = {}

    def begin(self, runs: Sequence[RunDirectory], kind: str, words: Sequence[str]) -> None:
        """Begins one.

        Raises:
            UserError: It goes on already, too many do, or it cannot be begun.
        """
        names = [run.name for run in runs]
        job = sha256(json.dumps([names, kind, *words]).encode()).hexdigest()[:20]
        with self._lock:
            going_on = [name for name, one in self._jobs.items() if one.process.poll() is None]
            if job in going_on:
                raise UserError("that is being found already")
            if len(going_on) >= MOST_AT_ONCE:
                raise UserError(f"{MOST_AT_ONCE} analyses go on: wait for one, or stop it")
            paths = [str(run.path.resolve()) for run in runs]
            log = Path(self._folder.name) / job
            command = [sys.executable, "-m", "reslab", "analyze"]
            try:
                with log.open("wb") as output:
                    process = subprocess.Popen(
                        [*command, "--", *paths, kind, *words],
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                        start_new_session=True,  # Ctrl-C is the server's alone
                    )
            except OSError as error:
                raise UserError(f"cannot start: {error.strerror}") from error
            self._jobs[job] = _Job(names, kind, " ".join(words), process, log)

    def of(self, runs: Container[str]) -> list[dict[str, Any]]:
        """What there is to say of those that are of some of the runs."""
        with self._lock:
            for name, one in list(self._jobs.items()):
                ended = one.process.poll()
                if ended == 0 or (ended is not None and one.stopping):
                    del self._jobs[name]
            return [
                one.about(name)
                for name, one in self._jobs.items()
                if any(run in runs for run in one.runs)
            ]

    def end(self, name: str) -> None:
        """Has one end, or forgets it if it has ended."""
        with self._lock:
            if (job := self._jobs.get(name)) is None:
                return
            if job.process.poll() is not None:
                del self._jobs[name]
                return
            job.stopping = True
            with suppress(ProcessLookupError):
                job.process.send_signal(signal.SIGINT)
