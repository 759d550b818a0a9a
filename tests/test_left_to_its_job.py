"""A run that is in the queue of a cluster is begun by no other command beside its job."""

import os

import pytest

from cluster import row
from processes import run
from reslab.apps.reproduce import plan, reproduce
from reslab.jobs import slurm
from reslab.jobs.queued import Queued
from reslab.jobs.slurm_queue import leave_to_its_job
from reslab.runs.store import InUseError, RunDirectory
from training import SMALL

NAME = "reslab-12ab"
WAY_OUT = f"`squeue --name={NAME}` says its number, `scancel NUMBER_2` ends it"


def queue(directory, user=None):
    directory.path.mkdir(parents=True, exist_ok=True)
    Queued("here", user or slurm.user(), NAME, 2, "/nowhere").write(directory)
    return directory


@pytest.fixture
def queued(commands, tmp_path):
    """A run whose job waits."""
    commands.says("squeue", row(NAME, 2, "PENDING") + "\n")
    return queue(RunDirectory(tmp_path / "runs/a-run"))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("hydra.run.dir=runs/a-run",), "reslab: {path} is queued by {user} on here; to run it"),
        (
            ("-m", "hydra.sweep.dir=runs", "hydra.sweep.subdir=a-run"),
            "reslab: left to others: {asked}: {path} is queued by {user} on here; to run it here",
        ),
        (
            ("-m", "hydra.sweep.dir=runs", "hydra.sweep.subdir=a-run", "hydra/launcher=local"),
            "[1/1] a-run: queued by {user} on here; to run it here",
        ),
    ],
    ids=["alone", "in a sweep", "by processes"],
)
def test_a_command_leaves_what_is_queued_and_says_how_to_take_it_from_there(
    command, said, queued, tmp_path
):
    asked = (*SMALL, "seed=1")
    finished = run(tmp_path, "train", *asked, *command, PATH=os.environ["PATH"])
    assert finished.code == 1
    said = said.format(path=queued.path, user=slurm.user(), asked=" ".join(asked))
    (line,) = (line for line in finished.err.splitlines() if "queued by" in line)
    assert line.startswith(said)
    assert line.endswith(WAY_OUT)
    assert [path.name for path in queued.path.iterdir()] == ["job.json"]


def test_a_table_leaves_what_is_queued_and_counts_it(commands, in_empty_folder):
    tiny = ("model=baseline_cnn", "model.widths=[4]", "dataset=digits", "max_steps=2", "seed=0")
    run = queue(plan("resnet3", tiny).results[0].cell.directory)
    commands.says("squeue", row(NAME, 2, "PENDING") + "\n")
    reproduction = reproduce("resnet3", tiny, output=in_empty_folder / "tables")
    (line,) = reproduction.failures
    assert f"is queued by {slurm.user()} on here" in line
    assert line.endswith(WAY_OUT)
    assert reproduction.is_in_the_queue
    assert not run.config_file.exists()


def test_its_own_job_begins_it_and_no_other_place_of_that_array_does(queued, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NAME", NAME)
    for place in ("0", "2"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", place)
        if place == "2":
            leave_to_its_job(queued)
        else:
            with pytest.raises(InUseError, match="a-run is queued by"):
                leave_to_its_job(queued)


def test_what_has_left_the_queue_is_anyone_s_and_what_nobody_here_can_ask_about_is_not(
    queued, commands, monkeypatch
):
    commands.says("squeue", row(NAME, 2, "CANCELLED") + "\n")
    with monkeypatch.context() as without:
        without.setenv("PATH", "/nowhere")
        with pytest.raises(InUseError, match="a-run is queued by"):
            leave_to_its_job(queued)
    leave_to_its_job(queued)
    assert not queued.job_file.exists()
    queue(queued, "somebody")
    with pytest.raises(InUseError, match="a-run is queued by somebody on here"):
        leave_to_its_job(queued)
