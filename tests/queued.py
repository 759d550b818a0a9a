"""Cells that are queued on a cluster of a few lines, and followed."""

import pytest

from cells import Listener
from cluster import row
from reslab.jobs import slurm_pool, slurm_sweep
from reslab.jobs.queued import Queued
from reslab.jobs.slurm import Cluster
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_queue import submit
from reslab.jobs.slurm_sweep import SlurmSweep

HERE = Cluster("here", 3)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(slurm_pool, "SECONDS_BETWEEN_QUESTIONS", 0.05)
    monkeypatch.setattr(slurm_pool, "SECONDS_FOR_FILES", 0.2)
    monkeypatch.setattr(slurm_sweep, "SECONDS_BETWEEN_LOOKS", 0.01)


def queue(cells, **options):
    return [(job, len(part)) for job, part in submit(cells, SlurmOptions(**options), HERE)]


def rows(cells, *states, **more):
    """What squeue says of cells that were submitted."""
    written = [Queued.read(cell.directory) for cell in cells]
    lines = [row(one.name, one.index, state, **more) for one, state in zip(written, states)]
    return "\n".join(lines) + "\n"


def sweep(cells, **options):
    listener = Listener()
    swept = SlurmSweep(cells, SlurmOptions(**options), listener).run()
    return {end.cell.title: end for end in swept.ends}, listener.said
