"""A killed run, run again, is to the bit the run that was not killed."""

import json
import random
import signal
import time

import pytest

from processes import run, start
from reslab.runs import checkpoint as files
from training import (
    ARGUMENTS,
    EVERY_STEP,
    EXACT,
    SMALL,
    STEPS_PER_EPOCH,
    assert_same_results,
    assert_same_state,
    history,
    only_run,
)


@pytest.fixture(scope="session")
def reference(tmp_path_factory):
    """An uninterrupted run, one ended by force before its record, with its full state, and seconds.

    Those are what the whole run took, start and end included.
    """
    folder = tmp_path_factory.mktemp("reference")
    assert run(folder / "state", *EXACT, kill=("end", 1)).killed
    begun = time.monotonic()  # the first process waits for what all are forked from
    assert run(folder / "whole", *EXACT).code == 0
    seconds = time.monotonic() - begun
    return only_run(folder / "whole"), only_run(folder / "state"), seconds


def resume_and_compare(folder, reference, *arguments):
    """At the end of training, where optimizer and generators are still in the checkpoint."""
    resumed = run(folder, *EXACT, *arguments, kill=("end", 1))
    assert resumed.killed, resumed.err
    assert_same_state(only_run(folder), reference[1])
    assert not list(only_run(folder).rglob(".*.tmp"))
    return resumed


@pytest.mark.long
def test_a_run_killed_before_its_record_is_finished_by_the_same_command(reference, tmp_path):
    assert run(tmp_path, *EXACT, EVERY_STEP, kill=("step", 30)).killed
    assert run(tmp_path, *EXACT, kill=("end", 1)).killed
    finished = run(tmp_path, *EXACT)
    assert finished.code == 0, finished.err
    assert_same_results(only_run(tmp_path), reference[0])
    record = json.loads((only_run(tmp_path) / "metrics.json").read_text())
    expected = json.loads((reference[0] / "metrics.json").read_text())
    assert record["exact"] is True
    assert record["test/accuracy"] == expected["test/accuracy"] > 0.6


@pytest.mark.long
def test_a_run_killed_behind_its_record_is_tidied_by_the_same_command(reference, tmp_path):
    assert run(tmp_path, *EXACT, kill=("finished", 1)).killed
    checkpoints, progress = only_run(tmp_path) / "checkpoints", only_run(tmp_path) / "progress.json"
    assert {path.name for path in checkpoints.iterdir()} >= {"slim.ckpt", "last.ckpt", "best.ckpt"}
    assert progress.exists()
    assert "finished" in run(tmp_path, *EXACT).out
    assert not progress.exists()
    assert {path.name for path in checkpoints.iterdir()} == {"last.ckpt", "best.ckpt"}
    assert_same_results(only_run(tmp_path), reference[0])


def test_the_reference_lowers_its_rate_and_the_run_has_a_state_to_lose(reference):
    rows = history(reference[0])
    assert rows["lr"].nunique() > 1
    assert list(rows["epoch"]) == list(range(1, len(rows) + 1))
    assert list(rows["step"]) == [STEPS_PER_EPOCH * epoch for epoch in rows["epoch"]]


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([("step", 1), ("step", 30), ("save", 5), ("swap", 3)], id="inside epochs"),
        pytest.param(
            [("save", STEPS_PER_EPOCH), ("step", 1), ("step", 2), ("validation", 2)],
            id="before and behind an epoch's last step",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [("epoch", 1), ("record", 1), ("epoch", 2)],
            id="at the edges of three epochs",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_run_killed_at_any_moment_ends_bitwise_the_same(moments, reference, tmp_path):
    """Killed, resumed and killed again: a moment's number counts from where its process begins."""
    nothing_saved = [("step", 1)]
    for at, moment in enumerate(moments):
        killed = run(tmp_path, *EXACT, EVERY_STEP, kill=moment)
        assert killed.killed, (moment, killed.err)
        resumes = at > 0 and moments[:at] != nothing_saved
        assert ("resuming at step" in killed.err) == resumes, moment
    assert "resuming at step" in resume_and_compare(tmp_path, reference, EVERY_STEP).err


@pytest.mark.slow
def test_a_run_without_a_checkpoint_yet_starts_again(reference, tmp_path):
    assert run(tmp_path, *EXACT, kill=("step", 15)).killed
    resume_and_compare(tmp_path, reference)


@pytest.mark.slow
def test_a_save_killed_with_tmpdir_on_another_filesystem_loses_nothing(reference, tmp_path):
    assert run(tmp_path, *EXACT, EVERY_STEP, kill=("save", 25), TMPDIR="/dev/shm").killed
    strays = list(only_run(tmp_path).rglob(".*.tmp"))
    assert len(strays) == 1, "the kill must have left half a file beside the checkpoint"
    resume_and_compare(tmp_path, reference, EVERY_STEP)


@pytest.mark.slow
def test_automatic_precision_resumes_bitwise_too(tmp_path):
    assert run(tmp_path / "whole", *ARGUMENTS, "trainer.max_epochs=2").code == 0
    broken = (*ARGUMENTS, "trainer.max_epochs=2", EVERY_STEP)
    assert run(tmp_path / "broken", *broken, kill=("step", 27)).killed
    assert run(tmp_path / "broken", *broken).code == 0
    assert_same_results(only_run(tmp_path / "broken"), only_run(tmp_path / "whole"))


@pytest.mark.slow
def test_early_stopping_counts_across_a_resume_and_stays_stopped(tmp_path):
    """Killed with one epoch of two without improvement counted, and again after the last."""
    stuck = ("optimizer.lr=1e-9", "monitor=train/accuracy", "patience=2", "trainer.max_epochs=12")
    arguments = (*EXACT, *stuck)
    assert run(tmp_path / "whole", *arguments).code == 0
    epochs = len(history(only_run(tmp_path / "whole")))
    assert 2 < epochs < 12, "the reference must stop early, and not at once"
    folder = tmp_path / "broken"
    for number in (epochs - 1, 1):
        assert run(folder, *arguments, EVERY_STEP, kill=("epoch", number)).killed
    assert len(history(only_run(folder))) == epochs
    assert run(folder, *arguments, EVERY_STEP).code == 0
    assert_same_results(only_run(folder), only_run(tmp_path / "whole"))


@pytest.mark.long
def test_epochs_cut_short_by_lightning_resume_bitwise(tmp_path):
    arguments = (*EXACT, "+trainer.limit_train_batches=5")
    assert run(tmp_path / "whole", *arguments).code == 0
    folder = tmp_path / "broken"
    for moment in (("epoch", 1), ("step", 8)):
        assert run(folder, *arguments, EVERY_STEP, kill=moment).killed
    assert run(folder, *arguments, EVERY_STEP).code == 0
    assert_same_results(only_run(folder), only_run(tmp_path / "whole"))


@pytest.mark.long
def test_a_limit_of_steps_inside_an_epoch_ends_bitwise_the_same(tmp_path):
    """With a schedule that counts steps, a warm-up, and images that are mixed.

    Killed inside of the second epoch, and again at the end of the third.
    """
    options = ("max_steps=52", "trainer.max_epochs=-1", "augment=mixup", "trainer=exact")
    arguments = ("train", *SMALL, *options, "optimizer=sgd_he2016_warmup", "logger=none")
    assert run(tmp_path / "whole", *arguments).code == 0
    whole = history(only_run(tmp_path / "whole"))
    assert list(whole["step"]) == [STEPS_PER_EPOCH, 2 * STEPS_PER_EPOCH, 52]
    assert list(whole["lr"]) == pytest.approx([0.1, 0.01, 0.001])
    folder = tmp_path / "broken"
    for moment in (("step", 30), ("epoch", 2)):
        assert run(folder, *arguments, EVERY_STEP, kill=moment).killed
    assert len(history(only_run(folder))) == 3
    resumed = run(folder, *arguments, EVERY_STEP)
    assert resumed.code == 0, resumed.err
    assert "resuming at step" in resumed.err
    assert_same_results(only_run(folder), only_run(tmp_path / "whole"))


@pytest.mark.slow
def test_sigterm_saves_at_the_next_step_and_exits_143(reference, tmp_path):
    process = start(tmp_path, *EXACT, kill=("stall", 30))
    process.wait_for_text("stalled")
    process.send(signal.SIGTERM)
    process.wait_for_text("stopping after this step")
    (tmp_path / "go-on").touch()
    stopped = process.wait()
    assert stopped.code == 143, stopped.err
    assert files.load(only_run(tmp_path) / "checkpoints/last.ckpt")["global_step"] == 30
    resumed = resume_and_compare(tmp_path, reference)
    assert "resuming at step 30" in resumed.err


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_checkpoint_and_exits_130(times, reference, tmp_path):
    """Once: after the step, with a checkpoint of it. Twice: at once, with the one before."""
    process = start(tmp_path, *EXACT, EVERY_STEP, kill=("stall", 30))
    process.wait_for_text("stalled")
    process.send(signal.SIGINT)
    process.wait_for_text("Ctrl-C again stops at once")
    if times == 1:
        (tmp_path / "go-on").touch()
    else:
        process.send(signal.SIGINT)
    stopped = process.wait()
    assert stopped.code == 130, stopped.err
    assert "Traceback" not in stopped.err
    step = files.load(only_run(tmp_path) / "checkpoints/last.ckpt")["global_step"]
    assert step == (30 if times == 1 else 29)
    resume_and_compare(tmp_path, reference, EVERY_STEP)


@pytest.mark.long
def test_thirty_kills_at_random_moments(reference, tmp_path):
    """Each time after a random part of the time that the whole run took, start and end included."""
    duration = reference[2]
    moments, kills = random.Random(0), 0
    for attempt in range(30):
        folder = tmp_path / str(attempt)
        process = start(folder, *EXACT, "checkpoint_every=0.2")
        process.process.join(moments.uniform(0.1, 1) * duration)
        if process.process.exitcode is None:
            process.send(signal.SIGKILL)
            kills += process.wait().killed
        assert run(folder, *EXACT, "checkpoint_every=0.2").code == 0
        assert_same_results(only_run(folder), reference[0])
    assert kills >= 10
