"""Each fault is caused for real; nothing saved is lost, and one line says what happened."""

import contextlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest

from processes import run, start
from reslab.runs import checkpoint as files
from training import ARGUMENTS, EVERY_STEP, SMALL, assert_same_results, history, only_run

EXACT = (*ARGUMENTS, "trainer.max_epochs=2", "trainer=exact")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, *EXACT).code == 0
    return only_run(folder)


@pytest.fixture(scope="session")
def _broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    assert run(folder, *EXACT, EVERY_STEP, kill=("step", 25)).killed
    return folder


@pytest.fixture
def broken(_broken, tmp_path):
    """A folder with a run that was killed in its second epoch, `last` and `previous` intact."""
    shutil.copytree(_broken, tmp_path, dirs_exist_ok=True)
    assert files.load(only_run(tmp_path) / "checkpoints/last.ckpt")["global_step"] == 24
    assert files.load(only_run(tmp_path) / "checkpoints/previous.ckpt")["global_step"] == 23
    return tmp_path


def last(folder):
    return only_run(folder) / "checkpoints/last.ckpt"


@pytest.mark.parametrize("size", [0, 1000], ids=["empty", "truncated"])
def test_a_truncated_checkpoint_is_named_and_the_previous_one_used(size, broken, whole):
    last(broken).write_bytes(last(broken).read_bytes()[:size])
    finished = run(broken, *EXACT)
    assert finished.code == 0, finished.err
    assert "last.ckpt is " + ("cut off" if size else "empty") in finished.err
    assert "resuming at step 23" in finished.err
    assert "previous.ckpt" in finished.err
    assert_same_results(only_run(broken), whole)


def test_no_intact_checkpoint_is_an_error_not_a_silent_start(broken):
    for name in ("last.ckpt", "previous.ckpt"):
        (only_run(broken) / "checkpoints" / name).write_bytes(b"")
    line = run(broken, *EXACT).error_line()
    assert "last.ckpt is empty" in line
    assert "previous.ckpt is empty" in line
    assert "rerun=true" in line


def test_one_flipped_byte_is_refused_and_the_file_kept(broken):
    content = bytearray(last(broken).read_bytes())
    content[len(content) // 2] ^= 1
    last(broken).write_bytes(content)
    assert "SHA-256" in run(broken, *EXACT).error_line()
    assert last(broken).read_bytes() == content


@pytest.mark.slow
def test_rerun_starts_over(broken, whole):
    last(broken).write_bytes(b"rubbish")
    finished = run(broken, *EXACT, "rerun=true")
    assert finished.code == 0, finished.err
    assert "resuming" not in finished.err
    assert_same_results(only_run(broken), whole)


@pytest.fixture
def tmpfs(tmp_path):
    """Mounts a small filesystem at tmp_path/name, or skips where that is not allowed."""
    mounted = []

    def mount(name, options):
        path = tmp_path / name
        path.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting a tmpfs is not allowed here: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_the_old_checkpoint_and_says_so(tmpfs, tmp_path, whole):
    disk = tmpfs("outputs", "size=900k")
    line = run(tmp_path, *EXACT, EVERY_STEP).error_line()
    assert ".ckpt: No space left on device" in line
    step = files.load(last(tmp_path))["global_step"]
    assert step >= 1
    assert not list(disk.rglob(".*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
    finished = run(tmp_path, *EXACT, EVERY_STEP)
    assert f"resuming at step {step}" in finished.err
    assert_same_results(only_run(tmp_path), whole)


def test_a_disk_full_to_the_last_byte_is_one_line_too(tmpfs, tmp_path):
    disk = tmpfs("outputs", "size=900k")
    (disk / "runs").mkdir()
    with contextlib.suppress(OSError), (disk / "filler").open("wb", 0) as file:
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(disk).f_bfree == 0
    assert "No space left on device" in run(tmp_path, *EXACT).error_line()


def test_a_read_only_folder_fails_before_the_first_step(tmpfs, tmp_path):
    tmpfs("outputs", "ro,size=1m")
    line = run(tmp_path, *EXACT).error_line()
    assert "outputs" in line
    assert "Read-only" in line


def test_a_run_directory_that_became_read_only_fails_before_the_first_step(broken):
    folder = only_run(broken)
    bind = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True)
    if bind.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        line = run(broken, *EXACT).error_line()
        assert str(folder.relative_to(broken)) in line
        assert "Read-only" in line
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_resume_must_never_starts_from_scratch(tmp_path):
    line = run(tmp_path, *EXACT, "resume=must").error_line()
    assert "resume=must" in line
    assert not list(tmp_path.glob("outputs/runs/*/metrics.csv"))


@pytest.mark.slow
def test_resume_must_resumes(broken, whole):
    assert run(broken, *EXACT, "resume=must").code == 0
    assert_same_results(only_run(broken), whole)


@pytest.mark.slow
def test_a_checkpoint_of_another_run_is_refused_with_the_keys_that_differ(broken, tmp_path):
    other = tmp_path / "other"
    arguments = (*EXACT, "optimizer.lr=0.02", "seed=3")
    assert run(other, *arguments, EVERY_STEP, kill=("step", 5)).killed
    shutil.copy(last(other), last(broken))
    line = run(broken, *EXACT).error_line()
    assert "last.ckpt" in line
    for key in ("dataset.seed", "optimizer.lr", "seed"):
        assert key in line
    assert "model" not in line
    assert last(broken).read_bytes() == last(other).read_bytes()


def test_init_from_starts_from_the_other_run_s_best_weights(whole, tmp_path):
    arguments = (*SMALL, "model.dropout=0.5", f"init_from={whole}")
    shorter = ("trainer.max_epochs=1", "optimizer.lr=1e-9", "logger=none")
    finished = run(tmp_path, "train", *arguments, *shorter)
    assert finished.code == 0, finished.err
    theirs = json.loads((whole / "metrics.json").read_text())["val/accuracy"]
    assert history(only_run(tmp_path))["val/accuracy"].iloc[0] == pytest.approx(theirs, abs=0.2)
    weights = files.load(whole / "checkpoints/best.ckpt")["state_dict"]
    started = files.load(only_run(tmp_path) / "checkpoints/best.ckpt")["state_dict"]
    assert all(
        np.allclose(started[key], weights[key], atol=1e-6) for key in weights if "weight" in key
    )


def test_init_from_another_architecture_is_refused_with_the_keys_that_differ(whole, tmp_path):
    line = run(tmp_path, "train", "model=resnet18", f"init_from={whole}").error_line()
    assert "init_from" in line
    for key in ("model._target_", "model.strides", "model.widths"):
        assert key in line


def test_init_from_with_another_dropout_is_the_same_architecture(whole, tmp_path):
    arguments = (*SMALL, "trainer.max_epochs=1", "logger=none")
    assert run(tmp_path, "train", *arguments, f"init_from={whole}").code == 0


def test_init_from_nothing_is_refused(tmp_path):
    assert "nowhere" in run(tmp_path, "train", "init_from=nowhere").error_line()


@pytest.mark.slow
def test_another_environment_warns_and_is_recorded_as_not_exact(broken):
    arguments = [a for a in EXACT if a != "trainer=exact"]
    folder = broken / "auto"
    assert run(folder, *arguments, EVERY_STEP, kill=("step", 25)).killed
    finished = run(folder, *arguments, TEST_THREADS="2")
    assert finished.code == 0, finished.err
    assert "warning" in finished.err
    assert "threads" in finished.err
    assert json.loads((only_run(folder) / "metrics.json").read_text())["exact"] is False


@pytest.mark.slow
def test_exact_refuses_another_environment_and_goes_on_in_its_own(broken, whole):
    line = run(broken, *EXACT, TEST_THREADS="2").error_line()
    assert "threads" in line
    assert run(broken, *EXACT).code == 0
    assert_same_results(only_run(broken), whole)


@pytest.mark.slow
def test_a_second_process_on_a_run_is_refused_and_the_first_goes_on(tmp_path, whole):
    first = start(tmp_path, *EXACT, EVERY_STEP, kill=("stall", 5))
    first.wait_for_text("stalled")
    line = run(tmp_path, *EXACT, EVERY_STEP).error_line()
    assert "in use by another process" in line
    assert first.wait().code == 0
    assert_same_results(only_run(tmp_path), whole)


@pytest.mark.slow
def test_the_lock_goes_with_its_holder(tmp_path):
    first = start(tmp_path, *EXACT, EVERY_STEP, kill=("stall", 5))
    first.wait_for_text("stalled")
    os.kill(first.process.pid, 9)
    assert first.wait().killed
    assert run(tmp_path, *EXACT).code == 0


def test_a_half_written_row_is_repaired(broken, whole):
    path = only_run(broken) / "metrics.csv"
    with path.open("a") as file:
        file.write("2,38,0.0")
    assert run(broken, *EXACT).code == 0
    assert_same_results(only_run(broken), whole)


@pytest.mark.parametrize("override", ["rerun=no", "rerun=true resume=must", "rerun=true lr=1"])
def test_a_refused_rerun_leaves_the_finished_run_alone(override, whole, tmp_path):
    shutil.copytree(whole.parents[2], tmp_path, dirs_exist_ok=True)
    before = {p: p.read_bytes() for p in only_run(tmp_path).rglob("*") if p.is_file()}
    run(tmp_path, *EXACT, *override.split()).error_line()
    assert before == {p: p.read_bytes() for p in only_run(tmp_path).rglob("*") if p.is_file()}


def test_a_truncated_best_checkpoint_is_named(whole, tmp_path):
    shutil.copytree(whole.parents[2], tmp_path, dirs_exist_ok=True)
    (only_run(tmp_path) / "checkpoints/best.ckpt").write_bytes(b"")
    line = run(tmp_path, "train", *SMALL, f"init_from={only_run(tmp_path)}")
    assert "best.ckpt is empty" in line.error_line()


def test_spoilt_runs_are_listed_with_the_others(whole, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(whole, tmp_path / "outputs/runs" / name)
    (tmp_path / "outputs/runs/one/metrics.csv").write_text("")
    (tmp_path / "outputs/runs/two/metrics.json").write_text("{")
    listed = run(tmp_path, "runs")
    assert listed.code == 0, listed.err
    assert "one" in listed.out
    assert "two" in listed.out


def test_a_finished_run_is_not_repeated(whole, tmp_path):
    shutil.copytree(whole.parents[2], tmp_path, dirs_exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in only_run(tmp_path).iterdir()}
    finished = run(tmp_path, *EXACT)
    assert finished.code == 0
    assert "finished" in finished.out
    unchanged = {p: p.stat().st_mtime_ns for p in only_run(tmp_path).iterdir() if p in before}
    assert {p: t for p, t in unchanged.items() if p.is_file() and p.name != "run.lock"} == {
        p: t for p, t in before.items() if p.is_file() and p.name != "run.lock"
    }


def test_a_finished_run_of_older_code_is_reported_as_such(whole, tmp_path):
    shutil.copytree(whole.parents[2], tmp_path, dirs_exist_ok=True)
    path = only_run(tmp_path) / "metrics.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"code_digest": "0" * 64}))
    finished = run(tmp_path, *EXACT)
    assert finished.code == 0
    assert "rerun=true" in finished.err
