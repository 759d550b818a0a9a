"""Whose a run's directory is, and where a command that is given again begins."""

import json
import shutil

import pytest

from processes import run
from reslab.config import compose
from reslab.runs.identity import run_name
from reslab.runs.store import RunDirectory
from training import EVERY_STEP, SMALL, assert_same_results, only_run

TRAIN = ("train", *SMALL, "logger=none", "trainer=exact", "trainer.max_epochs=2")
FIXED = "hydra.run.dir=here"


@pytest.fixture(scope="module")
def _finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert run(folder, *TRAIN).code == 0
    return folder


@pytest.fixture
def finished(_finished, tmp_path):
    """A folder with a finished run."""
    shutil.copytree(_finished, tmp_path, dirs_exist_ok=True)
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left", "rerun"),
    [
        *((None, rerun) for rerun in ((), ("rerun=true",))),
        *((name, ()) for name in ("metrics.json", "config.yaml")),
        ("checkpoints", ("rerun=true",)),
    ],
    ids=["again", "rerun", "its record alone", "its configuration alone", "its checkpoint alone"],
)
def test_a_directory_of_another_run_is_refused_and_left_as_it_is(finished, left, rerun):
    here = finished / "here"
    only_run(finished).rename(here)
    for path in here.iterdir():
        if left and path.name not in (left, "run.lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = content(here)
    line = run(finished, *TRAIN, FIXED, "label_smoothing=0.1", *rerun).error_line()
    assert "here" in line
    if left != "metrics.json":  # which has a hash and no keys
        assert "label_smoothing" in line
    assert content(here) == before


def test_a_renamed_run_does_not_answer_for_another(finished):
    name = run_name(compose([*TRAIN[1:], "seed=1"]))
    only_run(finished).rename(finished / "outputs/runs" / name)
    line = run(finished, *TRAIN, "seed=1").error_line()
    assert "differs in dataset.seed, seed" in line


def test_its_own_directory_answers_at_once_wherever_it_is(finished):
    only_run(finished).rename(finished / "here")
    again = run(finished, *TRAIN, FIXED)
    assert again.code == 0
    assert "here: finished, test accuracy" in again.out


@pytest.fixture(scope="module")
def whole(_finished):
    return only_run(_finished)


def number(folder):
    return json.loads((only_run(folder) / "metrics.json").read_text())["rerun"]


@pytest.mark.long
def test_a_rerun_starts_over_once_and_goes_on_when_it_was_broken(finished, whole):
    """However often it is stopped and given again, as under preemption."""
    asked = (*TRAIN, "rerun=true", EVERY_STEP)
    first = run(finished, *asked, kill=("step", 10))
    assert first.killed
    assert "resuming" not in first.err
    second = run(finished, *asked, kill=("step", 10))
    assert second.killed
    assert "resuming at step 9" in second.err
    third = run(finished, *asked)
    assert third.code == 0
    assert "resuming at step 18" in third.err
    assert number(finished) == 1
    assert_same_results(only_run(finished), whole)
    once_more = run(finished, *asked)
    assert "resuming" not in once_more.err
    assert number(finished) == 2


@pytest.mark.slow
def test_a_run_that_was_broken_without_it_is_started_over(tmp_path, whole):
    assert run(tmp_path, *TRAIN, EVERY_STEP, kill=("step", 10)).killed
    rerun = run(tmp_path, *TRAIN, "rerun=true")
    assert "resuming" not in rerun.err
    assert number(tmp_path) == 1
    assert_same_results(only_run(tmp_path), whole)


@pytest.mark.slow
def test_a_numbered_rerun_may_be_given_again_when_all_is_done(finished):
    assert run(finished, *TRAIN, "rerun=2").code == 0
    assert number(finished) == 2
    before = content(only_run(finished))
    for asked in ("rerun=2", "rerun=1", "rerun=false"):
        again = run(finished, *TRAIN, asked)
        assert "finished, test accuracy" in again.out
    assert content(only_run(finished)) == before


@pytest.mark.parametrize("value", ["no", "-1", "1.5", "null"])
def test_what_is_no_number_of_reruns_is_refused(finished, value):
    before = content(finished / "outputs")
    assert (
        "rerun must be true, false or a number"
        in run(finished, *TRAIN, f"rerun={value}").error_line()
    )
    assert content(finished / "outputs") == before


@pytest.mark.slow
def test_a_record_that_is_damaged_is_made_anew_by_a_rerun(finished, whole):
    (only_run(finished) / "metrics.json").write_text("{")
    assert "rerun=true makes it anew" in run(finished, *TRAIN).error_line()
    assert run(finished, *TRAIN, "rerun=true").code == 0
    assert RunDirectory(only_run(finished)).record().rerun == 1
    assert_same_results(only_run(finished), whole)


@pytest.mark.long
def test_a_finished_run_whose_record_is_lost_says_what_to_do(finished, whole):
    """Its last checkpoint has its weights alone."""
    directory = RunDirectory(only_run(finished))
    lost = directory.record_file.read_bytes()
    directory.record_file.unlink()
    before = content(directory.checkpoints)
    line = run(finished, "resume", directory.name).error_line()
    assert "metrics.json is missing: the run was finished" in line
    assert "put the file back, or start over with rerun=true" in line
    assert content(directory.checkpoints) == before
    assert directory.why() in line
    directory.record_file.write_bytes(lost)
    assert "finished, test accuracy" in run(finished, *TRAIN).out
    directory.record_file.unlink()
    assert run(finished, *TRAIN, "rerun=true").code == 0
    assert_same_results(only_run(finished), whole)
