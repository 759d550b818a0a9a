"""Cells that run a few lines instead of a training, and a machine to run them on."""

import sys
from dataclasses import dataclass

import pytest

from reslab.jobs.cell import Cell
from reslab.jobs.slots import Slot
from reslab.jobs.sweep import Sweep
from reslab.progress import Progress
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory

BEGIN = """
import os, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
run.mkdir(exist_ok=True)
(run / "begun").write_text(f"{time.time()} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
"""
FINISH = """
(run / "ended").write_text(str(time.time()))
(run / "metrics.json").write_text("{}")
"""
SAVE = """
def save(signum, frame):
    (run / "saved").touch()
    sys.exit(128 + signum)
signal.signal(signal.SIGTERM, save)
(run / "ready").touch()
time.sleep(60)
"""
STALL = """
signal.signal(signal.SIGTERM, lambda *signal: None)
(run / "ready").touch()
end = time.time() + 60
while time.time() < end:
    time.sleep(0.1)
"""


@dataclass(frozen=True)
class Script(Cell):
    """A cell that runs a few lines instead of a training."""

    @property
    def command(self):
        return [sys.executable, "-c", self.overrides[0], str(self.directory.path)]


@pytest.fixture
def make(tmp_path):
    """Makes a cell of a script."""

    def cell(name, script, **more):
        return Script((script,), RunDirectory(tmp_path / name), name, **more)

    return cell


class Listener(Reporter):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def sweep(cells, number=2, listener=None):
    listener = listener or Listener()
    swept = Sweep(cells, [Slot(f"place {at}") for at in range(number)], listener).run()
    return {end.cell.title: end for end in swept.ends}, listener.said, swept.signum


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretends GPUs and cores, of which only this test knows."""

    def pretend(gpus=None, threads="8"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if gpus is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)

    return pretend


def progress(left):
    """Half of the first of two epochs, with so many seconds to go."""
    return Progress(1, 2, 1, 2, 0.5, None, 0.1, None, left)
