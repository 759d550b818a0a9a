"""Commands of SLURM's that are scripts of a test's own: what they are asked, and what they say."""

import os
import stat
from pathlib import Path

import pytest

CONFIG = "ClusterName             = here\nMaxArraySize            = 3\n"
WIDTHS = (64, 16, 16, 24, 16, 64, 64)


def row(name, index, state, *, job="7", status=0, reason="None", node=""):
    """A line of squeue's, in the columns that it is asked for."""
    values = (name, index, job, state, status, reason, node)
    return "".join(f"{value:<{width}}" for value, width in zip(values, WIDTHS))


class Commands:
    """Commands in a folder that is the first of the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.says("scontrol", CONFIG)
        self.says("squeue", "")
        self.says("scancel", "")
        self.does("sbatch", 'cat > "$(mktemp "$0.given.XXXX")"; echo 7')

    def does(self, name: str, script: str) -> None:
        """Has a command note its arguments, and do something."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >> "$0.asked"\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def says(self, name: str, text: str) -> None:
        """Has a command print something."""
        (self.folder / f"{name}.text").write_text(text)
        self.does(name, f'cat "{self.folder / name}.text"')

    def asked(self, name: str) -> list[str]:
        """What a command was asked, in turn."""
        path = self.folder / f"{name}.asked"
        return path.read_text().splitlines() if path.exists() else []

    def given(self) -> list[str]:
        """The scripts that sbatch was given."""
        return [path.read_text() for path in sorted(self.folder.glob("sbatch.given.*"))]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    commands = Commands(tmp_path / "commands")
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    return commands
