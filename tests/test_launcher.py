"""Sweeps and tables through `hydra/launcher=local`: real trainings, killed and stopped for real."""

import json
import os
import re
import signal

import psutil
import pytest

from processes import run, start, wait_for
from reslab.runs.store import list_runs
from training import EVERY_STEP, SMALL, assert_same_results

pytestmark = pytest.mark.slow

LOCAL = ("hydra/launcher=local", "hydra.launcher.slots=2")
SWEEP = ("train", "-m", *SMALL, "logger=none", "trainer=exact")
LONG = (*SWEEP, "trainer.max_epochs=500", "seed=0,1", *LOCAL)
SHORT = (*SWEEP, "trainer.max_epochs=1")
SPARE = ("spare", 1)  # the fork server imports nothing; `test_forkserver` has those that do


def training(folder, number=2):
    """The runs there, once so many of them train."""
    runs = wait_for(
        lambda: (
            [r for r in found if r.progress()]
            if len(found := list_runs(folder / "outputs/runs")) == number
            and all(r.progress() for r in found)
            else None
        )
    )
    return sorted(runs, key=lambda one: one.name)


def pid(directory):
    return directory.request().pid


def test_a_sweep_of_processes_makes_the_runs_of_one_without_and_skips_the_finished(tmp_path):
    asked = (*SHORT, "seed=0,1", "hydra.sweep.subdir=${seed}-${run_name:}")
    side_by_side = run(tmp_path / "side", *asked, *LOCAL, kill=SPARE)
    assert side_by_side.code == 0, side_by_side.err
    assert run(tmp_path / "one", *asked).code == 0
    names = [
        [path.name for path in sorted((tmp_path / folder / "outputs/runs").glob("*-*"))]
        for folder in ("side", "one")
    ]
    assert names[0] == names[1]
    assert len(names[0]) == 2
    for name in names[0]:
        assert_same_results(
            *(tmp_path / folder / "outputs/runs" / name for folder in ("side", "one"))
        )
    lines = side_by_side.err.splitlines()
    assert lines[:2] == [
        f"[{at + 1}/2] seed={at}: begun on part {at + 1} of 2 of the cores" for at in (0, 1)
    ]
    assert sorted(re.findall(r"^\[\d/2\] seed=\d: test accuracy", side_by_side.err, re.M)) == [
        f"[{at + 1}/2] seed={at}: test accuracy" for at in (0, 1)
    ]
    assert re.findall(r"outputs/runs/(\d)-", side_by_side.out) == ["0", "1"], "the results, in turn"
    runs = tmp_path / "side/outputs/runs"
    for name in names[0]:  # as processes leave it that are killed once their runs are finished
        (runs / f".{name}.txt").write_text("resuming")
    again = run(tmp_path / "side", *asked, *LOCAL)
    assert again.code == 0
    assert not list(runs.glob(".*.txt"))
    assert again.out.count("finished, test accuracy") == 2
    assert "begun" not in again.err


@pytest.mark.long
def test_a_killed_worker_is_named_the_others_go_on_and_the_same_command_too(tmp_path):
    asked = (*SWEEP, "trainer.max_epochs=4", EVERY_STEP, "seed=0,1", *LOCAL)
    sweep = start(tmp_path, *asked, kill=SPARE)
    first, second = training(tmp_path)
    wait_for(first.latest.last.exists)
    os.kill(pid(first), signal.SIGKILL)
    finished = sweep.wait()
    assert finished.code == 1
    (named,) = (line for line in finished.err.splitlines() if "failed" in line[:20])
    assert named.startswith("[1/2] seed=0: failed: killed by signal 9 (Killed)")
    assert finished.error_line() == "reslab: runs of the sweep have failed, and are named above"
    assert (first.state(), second.state()) == ("interrupted", "finished")
    again = run(tmp_path, *asked, kill=SPARE)
    assert again.code == 0, again.err
    assert "resuming at step" in first.log_file.read_text()
    assert first.state() == "finished"


def test_a_killed_parent_s_cells_save_and_go(tmp_path):
    sweep = start(tmp_path, *LONG, kill=SPARE)
    runs = training(tmp_path)
    processes = [psutil.Process(pid(one)) for one in runs]
    sweep.send(signal.SIGKILL)
    assert psutil.wait_procs(processes, timeout=60)[1] == []
    assert [one.state() for one in runs] == ["interrupted"] * 2
    assert all(one.latest.load() for one in runs)
    sweep.wait()


@pytest.mark.long
def test_ctrl_c_has_the_cells_save_and_begins_no_other(tmp_path):
    sweep = start(tmp_path, *LONG, "label_smoothing=0,0.1", kill=SPARE, OMP_NUM_THREADS="4")
    runs = training(tmp_path)
    sweep.send(signal.SIGINT)
    finished = sweep.wait(60)
    assert finished.code == 130
    assert "Traceback" not in finished.err
    lines = finished.err.splitlines()
    assert "stopping after this step; Ctrl-C again stops at once" in lines
    assert sum(line.endswith(": stopped") for line in lines) == 2
    assert [one.state() for one in runs] == ["interrupted"] * 2
    assert all(one.latest.load() for one in runs)
    assert len(list_runs(tmp_path / "outputs/runs")) == 2, "nothing else was begun"

    # By itself it goes on with the threads that it had, else it would not be exact.
    resumed = start(tmp_path, "resume", runs[0].name, OMP_NUM_THREADS="4")
    wait_for(lambda: "resuming at step" in runs[0].log_file.read_text() and runs[0].progress())
    assert psutil.Process(pid(runs[0])).environ()["OMP_NUM_THREADS"] == "2"
    resumed.send(signal.SIGTERM)
    assert resumed.wait(60).code == 143, resumed.err.read_text()


def test_a_second_ctrl_c_ends_the_cells_at_once(tmp_path):
    sweep = start(tmp_path, *LONG, kill=SPARE)
    runs = training(tmp_path)
    for one in runs:
        os.kill(pid(one), signal.SIGSTOP)  # so that neither can save
    sweep.send(signal.SIGINT)
    sweep.wait_for_text("Ctrl-C again")
    sweep.send(signal.SIGINT)
    finished = sweep.wait(30)
    assert finished.code == 130
    assert finished.err.count("killed before it had saved") == 2
    assert [one.state() for one in runs] == ["interrupted"] * 2


def test_a_stopped_cell_is_no_failure_and_ends_the_sweep_with_an_error(tmp_path):
    sweep = start(tmp_path, *LONG, kill=SPARE)
    first, second = training(tmp_path)
    for one in (first, second):
        assert run(tmp_path, "stop", one.name).code == 0
    finished = sweep.wait(60)
    assert finished.code == 1
    assert "failed" not in finished.err
    assert "runs of the sweep were stopped" in finished.error_line()


def test_a_cell_that_is_refused_before_its_directory_is_there_is_named_and_listed(tmp_path):
    """An ablation beside a choice by hand, which the run's process alone looks at."""
    asked = (*SHORT, "ablation=baseline_cnn", "label_smoothing=0,0.1", *LOCAL)
    refused = run(tmp_path, *asked, kill=SPARE)
    assert refused.code == 1
    reason = "model=baseline_cnn and ablation=baseline_cnn both choose the model: leave one of"
    for number, value in ((1, "0"), (2, "0.1")):
        assert f"[{number}/2] label_smoothing={value}: failed: {reason}" in refused.err
    runs = list_runs(tmp_path / "outputs/runs")
    assert [one.state() for one in runs] == ["failed"] * 2
    assert all(reason in one.failure_file.read_text() for one in runs)


@pytest.mark.long
def test_hydra_s_own_overrides_reach_the_cells_and_wrong_ones_are_refused(tmp_path):
    refused = run(tmp_path, *SHORT, *LOCAL, "hydra.job.chdir=true", "seed=0", kill=SPARE)
    assert "hydra.job.chdir is not supported" in refused.err
    for wrong, said in (("slots=0", "must be at least 1"), ("slots=many", "slots")):
        line = run(tmp_path, *SHORT, LOCAL[0], f"hydra.launcher.{wrong}").error_line()
        assert said in line


@pytest.mark.long
def test_a_run_on_a_gpu_of_its_own_sees_no_other(tmp_path):
    """Two pretended ones: what a cell is given stands in its process' environment."""
    sweep = start(tmp_path, *LONG[:-1], "trainer.accelerator=auto", CUDA_VISIBLE_DEVICES="4,7")
    environments = [psutil.Process(pid(one)).environ() for one in training(tmp_path)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in environments] == ["4", "7"]
    sweep.send(signal.SIGTERM)
    assert sweep.wait(60).code == 143
    assert "begun on GPU 1" in sweep.err.read_text()


def test_a_table_s_cells_stop_as_those_of_a_sweep(tmp_path):
    asked = ("resnet3", "dataset=digits", "seed=0,1", *SMALL, "trainer.max_epochs=500")
    table = start(tmp_path, "reproduce", *asked, *LOCAL, kill=SPARE)
    runs = training(tmp_path)
    table.send(signal.SIGINT)
    finished = table.wait(60)
    assert finished.code == 130
    assert "[1/2] ResNet-20, seed 0: stopped" in finished.err.splitlines()
    assert [one.state() for one in runs] == ["interrupted"] * 2
    assert not (tmp_path / "outputs/tables").exists()


@pytest.mark.long
def test_a_table_of_two_slots_is_that_of_one_and_says_that_its_times_are_shared(tmp_path):
    table = (
        *("reproduce", "resnet3", "dataset=digits", "seed=0,1", "model=baseline_cnn"),
        *("model.widths=[8,16,32,64]", "logger=none", "trainer=exact", "trainer.max_epochs=2"),
        "--keep",
    )
    folders = {}
    for name, launcher in (("one", ()), ("two", LOCAL)):
        finished = run(tmp_path / name, *table, *launcher, kill=("undrawn and spare", 1))
        assert finished.code == 0, finished.err
        folders[name] = tmp_path / name / "outputs/tables/resnet3/digits"
        kept = tmp_path / name / "outputs/reference/resnet3/digits/runs"
        assert len(list(kept.iterdir())) == 2
    assert re.findall(r"^\[(\d/2)\] ResNet-20, seed \d: test accuracy", finished.err, re.M)
    ours, theirs = (json.loads((folders[name] / "table.json").read_text()) for name in folders)
    for keys in ("accuracy", "last_accuracy", "ece", "parameters", "macs", "n"):
        assert [row.get(keys) for row in ours["rows"]] == [row.get(keys) for row in theirs["rows"]]
    records = [
        [cell["record"] for cell in (ours if name == "one" else theirs)["cells"]]
        for name in folders
    ]
    for one, two in zip(*records):
        for key in (
            "test/accuracy",
            "test/loss",
            "val/loss",
            "train/loss",
            "best_epoch",
            "identity",
        ):
            assert one[key] == two[key]
    assert "* Time taken beside other work" in (folders["two"] / "table.md").read_text()
