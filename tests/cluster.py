"""Commands of SLURM's that are scripts of a test's own: what they are asked, and what they say."""

import os
import signal
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


# A job is a folder by its number: its name, its state, the process that runs its script.
BEGIN = """
cd "$(dirname "$0")" && mkdir -p jobs && cd jobs || exit
if [ -e ../refuse ]; then echo sbatch: error: QOSMaxSubmitJobPerUserLimit >&2; exit 1; fi
job=$(($(ls | wc -l) + 1)); mkdir $job; cat > $job/script
grep -lE 'PENDING|RUNNING' ./*/state 2>/dev/null | wc -l >> ../at-once
name=$(sed -n 's/^#SBATCH --job-name=//p' $job/script); echo $name > $job/name
output=$(sed -n 's/^#SBATCH --output=//p' $job/script | sed "s/%x_%a/${name}_0/")
echo PENDING > $job/state
(
    cd $job || exit
    while [ ! -e canceled ]; do
        while [ -e ../../hold ]; do sleep 0.05; done
        echo RUNNING > state
        SLURM_ARRAY_JOB_ID=$job SLURM_ARRAY_TASK_ID=0 bash script >> $output 2>&1 &
        echo $! > pid; wait $!; status=$?
        [ -e preempted ] || break
        rm preempted; echo PENDING > state; touch requeued; sleep 0.2
    done
    echo ${status:-0} > status
    if [ -e canceled ]; then echo CANCELLED; elif [ $status = 0 ]; then echo COMPLETED
    else echo FAILED; fi > ended; mv ended state
) >/dev/null 2>&1 &
echo $job
"""
LOOK = """
cd "$(dirname "$0")/jobs" || exit 0
case "$*" in *-j*) exec echo COMPLETING;; esac
for job in *; do
    [ -e $job/state ] || continue
    state=$(cat $job/state); status=$(($(cat $job/status 2>/dev/null || echo 0) << 8))
    printf '%-64s%-16s%-16s%-24s%-16s%-64s%-64s\\n' \
        $(cat $job/name) 0 $job $state $status None n1
done
"""
CANCEL = """
cd "$(dirname "$0")/jobs/${1%_0}" && touch canceled && kill -TERM $(cat pid)
"""


class Working(Commands):
    """Commands that run what is submitted, here and at once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        for name, script in (("sbatch", BEGIN), ("squeue", LOOK), ("scancel", CANCEL)):
            self.does(name, script)

    @property
    def at_once(self) -> int:
        """How many jobs there were at the most, queued or under way."""
        return max(map(int, (self.folder / "at-once").read_text().split())) + 1

    @property
    def jobs(self) -> list[Path]:
        """The folders of all jobs, in turn."""
        return sorted(self.folder.glob("jobs/*"), key=lambda path: int(path.name))

    def preempt(self, job: Path) -> None:
        """Ends what a job runs, and has it begin again."""
        (job / "preempted").touch()
        os.kill(int((job / "pid").read_text()), signal.SIGTERM)


@pytest.fixture
def working(tmp_path, monkeypatch):
    working = Working(tmp_path / "working")
    monkeypatch.setenv("PATH", f"{working.folder}{os.pathsep}{os.environ['PATH']}")
    return working
