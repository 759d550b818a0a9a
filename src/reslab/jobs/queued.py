"""What was submitted, written down in the runs' directories, so that whoever comes later knows.

A job is known by its name, which is chosen and written down before it is submitted: there is no
moment at which a submission could be lost, or be taken for another one's.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass

from reslab.content import build, parse
from reslab.files import write_atomically
from reslab.jobs import slurm
from reslab.jobs.cell import ends
from reslab.jobs.slurm import Cluster
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Queued:
    """What is written down of a run that a cluster is to run.

    Attributes:
        cluster: The cluster's name.
        user: Who submitted it.
        name: The array's job name, which no other job has.
        index: The run's place in the array.
        output: All that it prints, and what SLURM has to say.
        tested: Whether it ends with the test and its record; else with its training.
    """

    cluster: str
    user: str
    name: str
    index: int
    output: str
    tested: bool = True

    @classmethod
    def read(cls, run: RunDirectory) -> "Queued | None":
        """What is written down in a run's directory, None for nothing, or nothing of use."""
        with contextlib.suppress(OSError):
            return cls.parse(run.job_file.read_bytes())
        return None

    @classmethod
    def parse(cls, text: bytes) -> "Queued | None":
        """What a file says, None where it is spoilt."""
        try:
            queued: Queued = build(cls, parse(text))
        except ValueError:
            return None
        return queued

    @property
    def key(self) -> tuple[str, int]:
        """What `slurm.look` knows it by."""
        return self.name, self.index

    def is_ours(self, cluster: Cluster) -> bool:
        """Whether it is this user's, and on that cluster."""
        return (self.cluster, self.user) == (cluster.name, slurm.user())

    @property
    def whose(self) -> str:
        """What is said to anybody else."""
        return f"queued by {self.user} on {self.cluster}"

    @property
    def way_out(self) -> str:
        """How to have the run here all the same."""
        return (
            f"to run it here end its job there first: `squeue --name={self.name}` says its number, "
            f"`scancel NUMBER_{self.index}` ends it"
        )

    @property
    def is_here(self) -> bool:
        """Whether this process is what the job runs, or was started by that."""
        here = (os.environ.get("SLURM_JOB_NAME"), os.environ.get("SLURM_ARRAY_TASK_ID"))
        return here == (self.name, str(self.index))

    def is_done(self, run: RunDirectory) -> bool:
        """Whether the run has come to the end that was asked for."""
        return any(file.exists() for file in ends(run, tested=self.tested))

    def write(self, run: RunDirectory) -> None:
        """Writes it down."""
        write_atomically(run.job_file, (json.dumps(asdict(self), indent=1) + "\n").encode())


def in_the_way(run: RunDirectory) -> str:
    """What is said of the job that is to run it, and not this process; empty where none is."""
    if not run.job_file.exists():
        return ""
    queued = Queued.read(run)
    if queued is None:
        return f"{run.job_file} cannot be read"
    return "" if queued.is_here else f"{queued.whose}; {queued.way_out}"


def is_spoilt(run: RunDirectory) -> bool:
    """Whether what is written down says nothing; what cannot be read now may at another time."""
    try:
        return Queued.parse(run.job_file.read_bytes()) is None
    except OSError:
        return False


def is_finished(run: RunDirectory, queued: Queued) -> bool:
    """Whether it was finished since it was submitted, which may have been to start it over.

    SLURM may call it out of time all the same, which was preempted and had some time left.
    """
    for file in ends(run, tested=queued.tested):
        with contextlib.suppress(OSError):  # one of them is not there
            if file.stat().st_mtime_ns >= run.job_file.stat().st_mtime_ns:
                return True
    return False
