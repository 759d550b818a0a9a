"""Entries of a studio's queue whose processes only sleep, or say why they do not."""

import sys
from dataclasses import dataclass

import pytest

from reslab.jobs.cell import Cell
from reslab.runs.store import RunDirectory
from reslab.studio.entries import Entry


@dataclass(frozen=True)
class Sleeper(Cell):
    @property
    def command(self):
        code = f"import time; time.sleep(60)  # {self.title}"
        if "refused" in self.overrides:
            code = "import sys; sys.exit('reslab: optimizer.lr must be positive')"
        return [sys.executable, "-c", code]


@pytest.fixture
def sleeping(monkeypatch):
    def cell(entry, runs_dir):
        directory = RunDirectory(runs_dir / entry.name)
        return Sleeper(entry.overrides, directory, entry.name)

    monkeypatch.setattr(Entry, "cell", cell)
