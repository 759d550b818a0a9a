"""Sweeps, tables and searches on a real SLURM, which tests/slurm starts on this machine."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pages import CLUSTER, blocks, commands
from processes import run, start, wait_for
from reslab.jobs.queued import Queued
from reslab.runs.store import RunDirectory, list_runs
from reslab.runs.trained import values_of
from searching import content
from training import assert_same_results, history

NEEDED = ("slurmctld", "slurmd", "sbatch", "munged", "runuser")
LACKING = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(LACKING), reason=f"SLURM is not installed: no {', '.join(LACKING)}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a SLURM of one's own needs root"),
]

SCRIPTS = Path(__file__).with_name("slurm")
SMALL = (
    *("dataset=digits", "model=baseline_cnn", "model.widths=[8,8,8,8]", "logger=none"),
    *("trainer=exact", "trainer.quiet=true"),
)
ENDLESS = "trainer.max_epochs=100000"
SLURM = "hydra/launcher=slurm"
SWEEP = ("train", "-m", *SMALL, SLURM)


class Cluster:
    """The cluster, and what its own commands say of it."""

    def __init__(self, folder):
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}
        self.completed = folder / "jobs.txt"

    def ask(self, *command):
        environment = os.environ | self.variables
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def jobs(self, columns="%F_%K %T", *options):
        """A line a job that is in the queue; `-t all` also those that were."""
        return self.ask("squeue", "-r", "-h", *options, "-o", columns).splitlines()

    def running(self):
        """The nodes by the jobs that run there."""
        return dict(line.split() for line in self.jobs("%F_%K %N", "-t", "R"))

    def start(self, folder, *arguments):
        return start(folder, *arguments, **self.variables)

    def run(self, folder, *arguments, **options):
        return run(folder, *arguments, **self.variables, **options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    subprocess.run([SCRIPTS / "start", folder], check=True, timeout=60)
    try:
        cluster = Cluster(folder)
        theirs = cluster.ask("sbatch", "--parsable", "--hold", "--array=0-1", "--wrap=true").strip()
        yield cluster
        kept = cluster.jobs("%F_%K %T")
        assert {f"{theirs}_0 PENDING", f"{theirs}_1 PENDING"} <= set(kept), "another's jobs"
    finally:
        subprocess.run([SCRIPTS / "stop", folder], check=True, timeout=120)


@pytest.fixture(scope="module")
def ill_fated(cluster, tmp_path_factory):
    """A sweep of a cell that is refused, one whose time is over twice, and one that is too slow.

    Others go on meanwhile: the second is warned by its time limit, begins again, and is cancelled.
    """
    folder = tmp_path_factory.mktemp("ill fated")
    sweep = cluster.start(
        folder,
        *(*SWEEP, "seed=-1,0,1", ENDLESS),
        *("hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=5"),
        "hydra.launcher.setup=['[ $SLURM_ARRAY_TASK_ID != 2 ] || sleep 300']",
    )
    (second,) = training(folder, 1).values()
    with ThreadPoolExecutor(1) as beside:
        yield folder, sweep, second, beside.submit(see_through_its_limit, second, sweep, cluster)


def see_through_its_limit(run, sweep, cluster):
    """Cancels the second cell when it has gone on to an epoch's end after its limit's own warning.

    It is still until it is warned, for whoever trains it once more is to have as few epochs.
    """
    wait_for(lambda: epochs(run))
    process = psutil.Process(run.request().pid)
    process.suspend()
    wait_for(lambda: has_signal(process.pid, signal.SIGTERM), 100)
    process.resume()
    sweep.wait_for_text("queued again", 60)
    before = epochs(run)
    wait_for(lambda: epochs(run) > before)
    cluster.ask("scancel", f"{_number(sweep)}_1")


def epochs(run):
    """How many are over."""
    return len(values_of(run, "val/accuracy"))


def has_signal(pid, signum):
    """Whether a signal waits for a process that is suspended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^ShdPnd:\s*(\w+)", status, re.MULTILINE)[1], 16) >> (signum - 1) & 1


def name(run: RunDirectory) -> str:
    return run.name.split("-")[2]


def training(folder, number):
    """The runs there by seed, once so many of them train."""
    return wait_for(
        lambda: (
            found
            if len(
                found := {name(r): r for r in list_runs(folder / "outputs/runs") if r.progress()}
            )
            == number
            else None
        ),
        300,
    )


def suspended(folder, number):
    """The processes of so many runs there, each suspended as soon as it trains."""
    found = {}

    def all_train():
        for one in list_runs(folder / "outputs/runs"):
            if one.name not in found and one.progress():
                found[one.name] = psutil.Process(one.request().pid)
                found[one.name].suspend()
        return len(found) == number

    wait_for(all_train, 300)
    return found.values()


def is_told_to_end(process):
    """Whether a suspended process has SIGTERM waiting, or SLURM has had it go on with that."""
    try:
        stands_still = process.status() == psutil.STATUS_STOPPED
        return not stands_still or has_signal(process.pid, signal.SIGTERM)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return True


def _jobs_of(sweep):
    """The jobs of an array of two that a command has submitted."""
    return {f"{_number(sweep)}_0", f"{_number(sweep)}_1"}


def _number(sweep):
    return re.search(r"queued as job (\d+)", sweep.err.read_text())[1]


def most_at_once(lines):
    """How many jobs ran at the same time, by what SLURM wrote down of each that has ended."""
    jobs = [dict(word.partition("=")[::2] for word in line.split()) for line in lines]
    moments = [
        (job[key], step) for job in jobs for key, step in (("StartTime", 1), ("EndTime", -1))
    ]
    now = most = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


@pytest.mark.long
def test_a_table_s_cells_are_submitted_once_whoever_waits_or_is_killed(
    ill_fated, cluster, tmp_path
):
    folder = tmp_path / "a folder"
    table = (
        *("reproduce", "resnet3", *SMALL, "trainer.max_epochs=1", "seed=0,1,2,3,4,5"),
        *(SLURM, "hydra.launcher.array_parallelism=2"),
    )
    first = cluster.start(folder, *table)
    first.wait_for_text("1 cell is queued as job")
    assert "5 cells are queued as job" in first.err.read_text(), "an array may have five"

    second = cluster.run(folder, *table, "hydra.launcher.wait=false")
    assert second.code == 0, second.err
    assert "queued as job" not in second.err
    stands = r"^\[(\d)/(\d)\] .*: (?:(?:running|pending|completing) as \d+_\d|test accuracy)"
    said = re.findall(stands, second.err, re.MULTILINE)
    assert [int(at) for at, _ in said] == [at + 1 for at in range(int(said[-1][1]))], second.err
    assert "cells are queued or running" in second.out

    first.send(signal.SIGKILL)
    assert first.wait(30).killed
    listed = cluster.run(folder, "runs").out
    states = Counter(re.findall("queued|running|finished|interrupted|failed", listed))
    assert states.total() == 6, listed
    assert states["queued"] >= 1, listed
    assert not states.keys() & {"interrupted", "failed"}, listed

    third = cluster.run(folder, *table, kill=("undrawn", 1))
    assert third.code == 0, third.err
    assert "queued as job" not in third.err
    written = (folder / "outputs/tables/resnet3/digits/table.md").read_text()
    assert " 6 |" in written
    assert [run.state() for run in list_runs(folder / "outputs/runs")] == ["finished"] * 6
    assert not list((folder / "outputs/runs").glob("*/job.json"))

    again = cluster.run(folder, *table, kill=("undrawn", 1))
    assert again.code == 0
    assert "job" not in again.err, "nothing is submitted, and nothing waited for"

    def there():
        """How many jobs the cluster knows of that were submitted there, ended or not."""
        return [line for line in cluster.jobs("%T %Z", "-t", "all") if str(folder) in line]

    wait_for(lambda: [line.split()[0] for line in there()] == ["COMPLETED"] * 6, 30)
    ours = [line for line in cluster.completed.read_text().splitlines() if "a folder" in line]
    assert len(ours) == 6
    assert most_at_once(ours) == 2


def test_a_preempted_cell_and_one_that_is_told_to_stop_go_on_to_the_bits_of_undisturbed_ones(
    cluster, tmp_path
):
    asked = (*SWEEP, "trainer.max_epochs=8", "seed=10,11")
    sweep = cluster.start(tmp_path / "disturbed", *asked)
    processes = suspended(tmp_path / "disturbed", 2)
    places = {job: node for job, node in cluster.running().items() if job in _jobs_of(sweep)}
    preempted, warned = sorted(places)
    cluster.ask("scancel", "--batch", "--signal=TERM", warned)  # as before the time limit
    higher = ("sbatch", "--partition=high", f"--nodelist={places[preempted]}", "--output=/dev/null")
    cluster.ask(*higher, "--wrap=sleep 1")
    for process in processes:
        wait_for(lambda process=process: is_told_to_end(process))
        with suppress(psutil.NoSuchProcess):
            process.resume()
    undisturbed = run(tmp_path / "undisturbed", *(one for one in asked if one != SLURM))
    assert undisturbed.code == 0, undisturbed.err
    finished = sweep.wait(200)
    assert finished.code == 0, finished.err
    assert "queued again" in finished.err
    runs = list_runs(tmp_path / "disturbed/outputs/runs")
    assert len(runs) == 2
    for one in runs:
        assert "resuming at step" in one.log_file.read_text()
        assert_same_results(one.path, tmp_path / "undisturbed/outputs/runs" / one.name)


@pytest.mark.long
def test_a_search_s_jobs_outlive_it_are_taken_up_and_the_best_alone_reads_the_test_set(
    cluster, tmp_path
):
    """By the page's own command, with trials that are smaller."""
    (words,) = [shlex.split(line) for line in commands(blocks(CLUSTER)) if "reslab search" in line]
    assert {SLURM, "hydra.launcher.array_parallelism=2"} <= set(words)
    folder = tmp_path / "searched"
    smaller = (*SMALL, "trainer.max_epochs=8", "search.trials=3")
    keys = {one.partition("=")[0] for one in smaller}  # a search takes each once
    asked = (*(word for word in words[1:] if word.partition("=")[0] not in keys), *smaller)
    first = cluster.start(folder, *asked)
    first.wait_for_text("trial 1")
    processes = suspended(folder, 2)
    first.send(signal.SIGKILL)
    assert first.wait(30).killed
    before = [Queued.read(run) for run in list_runs(folder / "outputs/runs")]

    assert before.count(None) == 0
    going_on = cluster.start(folder, *asked)
    for queued in before:
        going_on.wait_for_text(f"queued as {queued.name}")  # it is taken up
    for process in processes:
        process.resume()
    second = going_on.wait()
    assert second.code == 0, second.err
    told = content(folder)
    assert [one["state"] for one in told["trials"]] == ["finished"] * 3
    assert 1 <= sum(one["instead_of"] is not None for one in told["trials"]) <= 2
    runs = {run.name: run for run in list_runs(folder / "outputs/runs")}
    assert {one["run"] for one in told["trials"]} == runs.keys()
    values = {
        one["run"]: max(values_of(runs[one["run"]], "val/accuracy")) for one in told["trials"]
    }
    assert {one["run"]: one["value"] for one in told["trials"]} == values
    assert values[told["best_run"]] == max(values.values())
    tested = [name for name, run in runs.items() if run.predictions_file.exists()]
    assert tested == [name for name, run in runs.items() if run.record()] == [told["best_run"]]
    (recipe,) = folder.glob("outputs/runs/searches/*/conf/recipe/*.yaml")
    assert told["best_run"] in recipe.read_text()

    def ours():
        return [one for one in cluster.completed.read_text().splitlines() if "searched" in one]

    wait_for(lambda: len(ours()) == 4, 30)  # three trials, and the best once more
    assert all("JobState=COMPLETED" in line for line in ours())
    assert most_at_once(ours()) == 2


@pytest.mark.long
def test_ctrl_c_ends_the_waiting_and_no_job(cluster, tmp_path):
    asked = (*SWEEP, "trainer.max_epochs=3", "seed=20,21")
    sweep = cluster.start(tmp_path, *asked)
    sweep.wait_for_text("begun on")
    sweep.send(signal.SIGINT)
    finished = sweep.wait(30)
    assert finished.code == 130
    assert "stay in the queue" in finished.err
    again = cluster.run(tmp_path, *asked)  # at once, as they go on
    assert again.code == 0
    assert "queued as job" not in again.err
    runs = list_runs(tmp_path / "outputs/runs")
    assert [one.state() for one in runs] == ["finished"] * 2
    assert all("resuming" not in one.log_file.read_text() for one in runs), "each was begun once"


@pytest.mark.long
def test_a_cell_is_warned_by_its_time_limit_queued_again_and_goes_on_to_the_same_bits(
    ill_fated, tmp_path
):
    _, sweep, warned, seen_through = ill_fated
    seen_through.result(200)
    lines = [line for line in sweep.err.read_text().splitlines() if line.startswith("[2/3]")]
    begun, again, once_more = (re.sub("on n. as|[(].*[)]", "", line) for line in lines[:3])
    assert again == "[2/3] seed=0: queued again "
    assert (begun, once_more) == (begun, begun)
    assert "resuming at step" in warned.log_file.read_text()
    undisturbed = start(tmp_path, "train", *SMALL, "seed=0", ENDLESS)
    (same,) = training(tmp_path, 1).values()
    wait_for(lambda: epochs(same) >= epochs(warned))
    undisturbed.send(signal.SIGTERM)
    assert undisturbed.wait(30).code == 143
    rows = history(warned.path)
    assert list(rows["epoch"]) == list(range(1, len(rows) + 1))
    pd.testing.assert_frame_equal(rows, history(same.path)[: len(rows)], check_exact=True)


@pytest.mark.long
def test_what_failed_was_cancelled_or_took_too_long_is_named_with_its_last_line(ill_fated, cluster):
    folder, sweep, *_ = ill_fated
    finished = sweep.wait(200)
    assert finished.code == 1
    assert finished.error_line() == "reslab: runs of the sweep have failed, and are named above"
    lines = finished.err.splitlines()
    refused, cancelled, late = (line for line in sorted(lines) if ": failed: " in line)
    assert re.fullmatch(r"\[1/3\] seed=-1: failed: seed .*, got -1", refused)
    assert cancelled.startswith("[2/3] seed=0: failed: canceled, its last line: stopping after")
    assert late.startswith("[3/3] seed=1: failed: out of time")
    states = {name(run): run.state() for run in list_runs(folder / "outputs/runs")}
    assert states == {"s": "failed", "s0": "interrupted", "s1": "failed"}
    assert not list(folder.glob("outputs/runs/*/job.json"))


@pytest.mark.long
def test_the_page_s_commands_run_as_they_stand_shortened(cluster, tmp_path):
    lines = [shlex.split(line) for line in commands(blocks(CLUSTER))]
    asked = [words for words in lines if SLURM in words or words == ["reslab", "runs"]]
    asked = [words for words in asked if words[1] != "search"]  # which has a test of its own
    assert [words[1] for words in asked] == ["train", "reproduce", "runs", "reproduce"]
    printed = []
    for words in asked:
        quick = [] if words[1] == "runs" else [*SMALL, "trainer.max_epochs=1", "seed=0"]
        done = cluster.run(tmp_path, *words[1:], *quick, kill=("undrawn", 1))
        assert done.code == 0, (words, done.err)
        printed.append(done.out)
    assert printed[0].startswith("#!/bin/bash\n#SBATCH ")
    assert "4 of 4 cells are queued or running" in printed[1], "rows that are one run, shortened"
    assert re.search("queued|running", printed[2])
    assert not list(tmp_path.glob("outputs/runs/*/job.json"))
