"""A search whose trials are jobs of a cluster, with commands of SLURM's that are our own."""

import copy
import os
import signal
import socket
import threading

import pytest
from hydra.core.config_store import ConfigStore

import searching
from cells import Listener
from processes import wait_for
from reslab.errors import UserError
from reslab.jobs import slurm, slurm_pool
from reslab.jobs.pool import Pool
from reslab.jobs.queued import Queued
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_pool import SlurmPool
from reslab.runs.store import RunDirectory
from reslab.search import searcher
from reslab.search.app import search
from reslab.search.plan import plan
from reslab.search.study import Study
from searching import begun, content, faked  # noqa: F401  # a fixture
from training import SMALL

SLURM = "hydra/launcher=slurm"
TWO = (SLURM, "hydra.launcher.array_parallelism=2")
COMMON = (*SMALL, "trainer=cpu")
ASKED = (
    *(*COMMON, "trainer.max_epochs=3", "search/pruner=none"),
    *("optimizer.lr=log(1e-4,1e-1)", "model.dropout=0.0,0.2,0.5"),
)
GRID = (
    *(*COMMON, "trainer.max_epochs=6", "search/sampler=grid", "search.trials=9", "search.seed=9"),
    *("optimizer.lr=0.1,1e-4", "model.dropout=0.0,0.2"),
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(slurm_pool, "SECONDS_BETWEEN_QUESTIONS", 0.3)
    monkeypatch.setattr(searcher, "SECONDS_BETWEEN_TRIES", 0.1)
    searching.draw_nothing(monkeypatch.setattr)


def leftovers(folder):
    """What a submission writes down until it has ended."""
    runs = folder / "outputs/runs"
    return [*runs.glob("*/job.json"), *runs.glob(".slurm/reslab-*")]


def begin(folder, *asked, **more):
    """Starts a search in a process of its own, with the commands that this one has."""
    return searching.start(folder, *asked, PATH=os.environ["PATH"], **more)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("hydra.launcher.wait=false", "hydra.launcher.wait=false: a search chooses its trials by"),
        ("hydra.launcher.dry_run=true", "hydra.launcher.dry_run=true: what a search submits is"),
        ("hydra.launcher.array_parallelism=0", "hydra.launcher.array_parallelism must be at least"),
        ("hydra.launcher.nodes=2", "no option hydra.launcher.nodes"),
    ],
)
def test_what_makes_no_sense_for_a_search_is_refused_before_anything_is_there(
    asked, said, in_empty_folder
):
    with pytest.raises(UserError) as error:
        search([*ASKED, SLURM, asked])
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(in_empty_folder.iterdir())


def test_another_package_s_launcher_is_refused(in_empty_folder, monkeypatch):
    store = ConfigStore.instance()
    monkeypatch.setattr(store, "repo", copy.deepcopy(store.repo))
    store.store(group="hydra/launcher", name="theirs", node={"_target_": "theirs.Launcher"})
    with pytest.raises(UserError, match="hydra/launcher: a search runs its trials by local or s"):
        search([*ASKED, "hydra/launcher=theirs"])
    assert not list(in_empty_folder.iterdir())


def test_without_a_cluster_a_line_says_so_before_anything_is_there(in_empty_folder, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="there is no scontrol: hydra/launcher=slurm is given wh"):
        search([*ASKED, SLURM])
    assert not list(in_empty_folder.iterdir())


@pytest.mark.slow
def test_trials_are_jobs_of_which_so_many_at_a_time_and_the_best_reads_the_test_set_as_one(
    faked,  # noqa: F811
    working,
    monkeypatch,
):
    monkeypatch.setenv("SECONDS", "0.4")  # an epoch: the first goes on yet when the second begins
    listener = Listener()
    found = search([*ASKED, "search.trials=4", *TWO], listener)
    trials = content(faked)["trials"]
    assert {one["state"] for one in trials} == {"finished"}
    for one in trials:  # what they came to, by the lines that they ran
        assert one["value"] == one["chosen"]["optimizer.lr"] * (1 - 0.5**3)
    best = max(trials, key=lambda one: one["value"])
    assert (found.best.number, found.directory.name) == (best["number"], best["run"])
    assert [(name, test) for name, test in begun(faked) if test == "true"] == [
        (best["run"], "true")
    ]
    assert len(begun(faked)) == len(working.jobs) == 5
    assert working.at_once == 2
    assert len([line for line in listener.said if ": queued as reslab-" in line]) == 4
    assert leftovers(faked) == []
    assert [run.parent.name for run in faked.glob("outputs/runs/*/metrics.json")] == [best["run"]]
    search([*ASKED, "search.trials=4", *TWO], listener)
    assert len(working.jobs) == 5, "nothing is run twice"


@pytest.mark.long
def test_without_a_number_four_are_there_at_a_time_and_the_cluster_is_asked_sparingly(
    faked,  # noqa: F811
    working,
    monkeypatch,
):
    hold = working.folder / "hold"

    class Filled(Listener):
        """Lets jobs begin some time after there are as many as there are to be."""

        def say(self, text):
            super().say(text)
            if sum(": queued as" in line for line in self.said) == 4 and hold.exists():
                threading.Timer(0.5, hold.unlink).start()

    monkeypatch.setattr(slurm_pool, "SECONDS_BETWEEN_QUESTIONS", 5.0)
    hold.touch()
    search([*ASKED, "search.trials=5", SLURM], Filled())
    assert working.at_once == 4
    assert len(working.asked("squeue")) <= 4, "a run's own files say that it is finished"


@pytest.mark.long
def test_a_trial_that_is_worse_is_canceled_saves_and_has_not_failed(faked, working, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SECONDS", "0.3")
    pruner = ("search.pruner.n_startup_trials=1", "search.pruner.n_warmup_steps=0")
    listener = Listener()
    search([*GRID, *pruner, SLURM, "hydra.launcher.array_parallelism=1"], listener)
    trials = content(faked)["trials"]
    assert [one["state"] for one in trials] == ["finished", "finished", "pruned", "pruned"]
    for one in trials[2:]:
        assert one["epochs"] < 6
        assert f"pruned after epoch {one['epochs']}" in "\n".join(listener.said)
    assert working.asked("scancel") == ["3_0", "4_0"]
    assert len(working.jobs) == 5
    assert leftovers(faked) == []


@pytest.mark.long
def test_a_trial_that_is_preempted_and_queued_again_has_not_failed(faked, working, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SECONDS", "0.6")

    def preempt():  # once both train, whichever of them is this job's
        wait_for(lambda: len(list(faked.glob("outputs/runs/*/metrics.csv"))) == 2)
        working.preempt(working.jobs[0])

    disturbing = threading.Thread(target=preempt)
    disturbing.start()
    search([*ASKED, "search.trials=2", *TWO])
    disturbing.join()
    assert (working.jobs[0] / "requeued").exists()
    assert [one["state"] for one in content(faked)["trials"]] == ["finished"] * 2
    assert len(working.jobs) == 3
    assert len(begun(faked)) == 4, "one was begun twice, by one job"


@pytest.mark.slow
def test_a_failed_trial_is_named_with_its_last_line(faked, working):  # noqa: F811
    asked = [one for one in GRID if "dropout" not in one]
    search([*asked, "model.dropout=0.0,0.7", *TWO])
    failed = [one for one in content(faked)["trials"] if one["state"] == "failed"]
    assert {one["chosen"]["model.dropout"] for one in failed} == {"0.7"}
    assert {one["reason"] for one in failed} == {"the disk is full"}


@pytest.mark.long
def test_what_the_cluster_refuses_waits_for_others_and_without_others_ends_the_search(
    faked,  # noqa: F811
    working,
    monkeypatch,
):
    refuse = working.folder / "refuse"

    class Full(Listener):
        """Sees to it that the cluster takes one, and then none until that was said."""

        def say(self, text):
            super().say(text)
            if ": queued as" in text and len(self.said) == 2:
                refuse.touch()
            if text.endswith("it is tried again"):
                refuse.unlink()

    monkeypatch.setenv("SECONDS", "0.2")
    asked = [*ASKED, "search.trials=3", *TWO]
    refuse.touch()
    with pytest.raises(UserError, match="sbatch: error: QOSMaxSubmitJobPerUserLimit"):
        search(asked)
    refuse.unlink()
    listener = Full()
    search(asked, listener)
    refused = "sbatch: error: QOSMaxSubmitJobPerUserLimit; it is tried again"
    assert sum(line.endswith(refused) for line in listener.said) == 1
    assert [one["state"] for one in content(faked)["trials"]] == ["finished"] * 3
    assert len(working.jobs) == 4


def test_a_signal_is_answered_whenever_it_comes(faked, working):  # noqa: F811
    class Impatient(Listener):
        """Presses Ctrl-C twice as soon as it is told of the second trial."""

        def say(self, text):
            super().say(text)
            if ": queued as" in text and sum(": queued as" in line for line in self.said) == 2:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    (working.folder / "hold").touch()
    listener = Impatient()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # else it may be ignored
    try:
        with pytest.raises(SystemExit, match="130"):
            search([*ASKED, "search.trials=4", *TWO], listener)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert sum("2 cells stay in the queue" in line for line in listener.said) == 1
    assert working.asked("scancel") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_jobs_outlive_their_searcher_and_the_same_command_takes_them_up(signum, tmp_path, working):
    asked = [*ASKED, "search.trials=4", *TWO]
    (working.folder / "hold").touch()
    stopped = begin(tmp_path, *asked, SECONDS="0.1")
    wait_for(lambda: stopped.err.read_text().count(": queued as ") == 2)
    stopped.send(signum)
    ended = stopped.wait(60)
    assert ended.code == (-signum if signum == signal.SIGKILL else 130)
    if signum == signal.SIGINT:
        names = ",".join(sorted((job / "name").read_text().strip() for job in working.jobs))
        assert "2 cells stay in the queue, and the same command waits again" in ended.err
        assert f"scancel --name={names}" in ended.err
    assert working.asked("scancel") == []
    went_on = begin(tmp_path, *asked)
    wait_for(lambda: went_on.err.read_text().count(": queued as ") == 2)
    assert len(working.jobs) == 2, "what is queued is taken up"
    (working.folder / "hold").unlink()
    finished = went_on.wait(60)
    assert finished.code == 0, finished.err
    trials = content(tmp_path)["trials"]
    assert [one["state"] for one in trials] == ["finished"] * 4
    assert sum(one["instead_of"] is not None for one in trials) == 2
    names = [name for name, test in begun(tmp_path) if test == "false"]
    assert sorted(names) == sorted(one["run"] for one in trials), "each was begun once"
    assert len(working.jobs) == 5
    assert working.at_once == 2
    assert leftovers(tmp_path) == []


@pytest.mark.long
def test_a_job_that_ended_while_nobody_waited_is_known_by_its_end(faked, working):  # noqa: F811
    asked = [*ASKED, "search.trials=2", *TWO]
    stopped = begin(faked, *asked, SECONDS="0.1")
    wait_for(lambda: stopped.err.read_text().count(": queued as ") == 2)
    stopped.send(signal.SIGKILL)
    stopped.wait(60)
    wait_for(lambda: all((job / "status").exists() for job in working.jobs))
    search(asked)
    assert [one["state"] for one in content(faked)["trials"]] == ["finished"] * 2
    assert len(working.jobs) == 3
    assert leftovers(faked) == []


@pytest.mark.parametrize(
    ("cluster", "user", "by_slurm", "here"),
    [
        ("here", None, True, False),
        ("there", None, False, False),
        ("here", "somebody", False, False),
        (None, None, True, True),
    ],
    ids=["ours", "another cluster's", "another user's", "none"],
)
def test_a_trial_that_is_queued_is_taken_over_with_its_job_and_by_nobody_else(
    cluster, user, by_slurm, here, tmp_path, commands
):
    slurm_pool_here = SlurmPool(SlurmOptions())
    run = RunDirectory(tmp_path / "runs/a-run")
    run.path.mkdir(parents=True)
    if cluster:
        Queued(cluster, user or slurm.user(), "reslab-1", 0, "", False).write(run)
    asked = plan([*ASKED, f"runs_dir={tmp_path}/runs", "search.trials=1"])
    trial = Study(asked, slurm_pool_here.may_start).ask()
    (asked.folder / "theirs.lock").touch()
    trial.set_user_attr("searcher", {"host": socket.gethostname(), "pid": 1, "lock": "theirs.lock"})
    trial.set_user_attr("run", "a-run")
    assert (Study(asked, Pool([]).may_start).ask() is not None) == here
    if not here:
        assert (Study(asked, slurm_pool_here.may_start).ask() is not None) == by_slurm


@pytest.mark.long
def test_equal_trials_of_two_searchers_are_one_job(tmp_path, working):
    asked = [*COMMON, "trainer.max_epochs=3", "search/pruner=none", "optimizer.lr=0.01,0.02"]
    asked += ["model.dropout=0.0", "search/sampler=random", "search.trials=8", *TWO]
    both = [begin(tmp_path, *asked, SECONDS="0.1") for _ in range(2)]
    ends = [one.wait(60) for one in both]
    assert [one.code for one in ends] == [0, 0], ends
    assert {one["state"] for one in content(tmp_path)["trials"]} == {"finished"}
    assert sorted(test for _, test in begun(tmp_path)) == ["false", "false", "true"]
    assert len(working.jobs) == 3
