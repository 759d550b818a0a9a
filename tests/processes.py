"""Real processes that run reslab's commands, forked from one that has imported torch already."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOAD = [
    "sklearn.datasets",
    "sklearn.model_selection",
    "reslab.runs.execute",
    "reslab.apps.reproduce",
    "reslab.search.app",
    "reslab.tables.figures",
    "reslab.tables.page",
    "reslab.tables.render",
    "reslab.terminal.tables",
    "kill_at",
]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(PRELOAD)


@dataclass
class Started:
    """A process under way, with the files that its output goes to."""

    process: BaseProcess
    out: Path
    err: Path

    def wait(self, timeout: float = 800) -> "Finished":
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"still running after {timeout} s:\n{self.err.read_text()}")
        return Finished(self.process.exitcode, self.out.read_text(), self.err.read_text())

    def wait_for_text(self, text: str, timeout: float = 300) -> None:
        """Returns when the text stands in the error output."""
        deadline = time.monotonic() + timeout
        while text not in self.err.read_text():
            if self.process.exitcode is not None or time.monotonic() > deadline:
                raise AssertionError(f"never said {text!r}:\n{self.err.read_text()}")
            time.sleep(0.01)

    def send(self, signum: int) -> None:
        os.kill(self.process.pid, signum)


@dataclass
class Finished:
    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    def error_line(self) -> str:
        """The one line that a failing command ends with; there must be no traceback."""
        assert self.code not in (0, None), self.out + self.err
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("reslab: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def wait_for(condition, timeout: float = 120):
    """What a condition comes to, once that is true."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it was not true within {timeout} s"
        time.sleep(0.05)
    return found


def start(
    cwd: Path, *arguments: str, kill: tuple[str, int] | None = None, **environment: str
) -> Started:
    """Starts `reslab ARGUMENTS` in a folder; `kill` is a moment of `kill_at` and its number."""
    cwd.mkdir(exist_ok=True, parents=True)
    number = len(list(cwd.glob(".process-*.out")))
    out, err = cwd / f".process-{number}.out", cwd / f".process-{number}.err"
    out.touch()
    err.touch()
    target = _context.Process(target=_work, args=(cwd, arguments, kill, environment, out, err))
    target.start()
    return Started(target, out, err)


def run(
    cwd: Path, *arguments: str, kill: tuple[str, int] | None = None, **environment: str
) -> Finished:
    """Runs `reslab ARGUMENTS` to its end."""
    return start(cwd, *arguments, kill=kill, **environment).wait()


def run_undrawn(cwd: Path, *arguments: str) -> Finished:
    """Runs what makes a table without its pictures, which take longer than all the rest."""
    return run(cwd, *arguments, kill=("undrawn", 1))


def _work(cwd, arguments, kill, environment, out, err):
    os.environ.update(environment)
    os.chdir(cwd)
    if "PYTHONPATH" in environment:  # which a process that is forked does not read
        sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    for path, stream in [(out, sys.stdout), (err, sys.stderr)]:
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, stream.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # who runs the tests may ignore it
    import torch

    import kill_at

    if "TEST_THREADS" in environment:
        torch.set_num_threads(int(environment["TEST_THREADS"]))
    try:
        if kill:
            sys.argv = ["kill_at", kill[0], str(kill[1]), *arguments]
            kill_at.main()
        else:
            sys.argv = ["reslab", *arguments]
            kill_at.cli.main()
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
