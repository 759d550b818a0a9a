"""What a Hydra sweeper is told of each run."""

import json

import pandas as pd
import pytest
import yaml

from processes import run
from reslab.cli import app
from training import EVERY_STEP, SMALL

MONITORS = ["val/accuracy", "val/loss", "train/accuracy", "train/loss"]


@pytest.mark.long
@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param((), id="one after the other"),
        pytest.param(("hydra/launcher=local", "hydra.launcher.slots=2"), id="side by side"),
    ],
)
def test_a_sweeper_optimizes_what_chose_the_best_epoch_and_never_the_test_set(
    launcher, in_empty_folder, monkeypatch
):
    told, objective = [], app.objective
    monkeypatch.setattr(app, "objective", lambda *run: told.append(objective(*run)) or told[-1])
    asked = (
        *("-m", f"monitor={','.join(MONITORS)}", *SMALL, "trainer=cpu", "trainer.quiet=true"),
        "logger=none",
        *("optimizer.lr=0.3", "trainer.max_epochs=4", "+trainer.limit_train_batches=4"),
    )
    monkeypatch.setattr("sys.argv", ["reslab train", *asked, *launcher])
    app.train()
    expected, best_epochs = {}, set()
    for path in in_empty_folder.glob("outputs/runs/*/config.yaml"):
        monitor = yaml.safe_load(path.read_text())["monitor"]
        history = pd.read_csv(path.with_name("metrics.csv"), float_precision="round_trip")
        column = history.set_index("epoch")[monitor]
        best = column.idxmin() if monitor.endswith("loss") else column.idxmax()
        assert json.loads(path.with_name("metrics.json").read_text())["best_epoch"] == best
        expected[monitor] = column[best]
        best_epochs.add(best)
    assert told == [expected[monitor] for monitor in MONITORS]
    assert best_epochs != {4}, "the last epoch is not to be the best one by every metric"
    app.train()  # where all is finished
    assert told[4:] == told[:4]


@pytest.mark.slow
def test_a_sweep_goes_on_past_a_failure_names_it_and_ends_with_an_error(tmp_path):
    sweep = ("train", "-m", *SMALL, "logger=none", "trainer.max_epochs=1")
    finished = run(tmp_path, *sweep, "seed=0,-1,1")
    assert finished.code != 0
    assert "seed=-1" in finished.err
    assert "Traceback" not in finished.err
    said = [line for line in finished.err.splitlines() if "seed=-1" in line or "rror" in line]
    assert len(said) == 1, finished.err
    assert said[0].startswith("reslab: failed: ")
    assert finished.err.splitlines()[-1] == (
        "reslab: runs of the sweep have failed, and are named above"
    )
    assert len(list(tmp_path.glob("outputs/runs/*/metrics.json"))) == 2


@pytest.mark.slow
def test_a_killed_sweep_skips_what_is_finished_and_resumes_what_is_broken(tmp_path):
    sweep = ("train", "-m", *SMALL, "logger=none", "trainer.max_epochs=1", "seed=0,1")
    assert run(tmp_path, *sweep, EVERY_STEP, kill=("step", 25)).killed
    records = {p: p.stat().st_mtime_ns for p in tmp_path.glob("outputs/runs/*/metrics.json")}
    assert len(records) == 1
    finished = run(tmp_path, *sweep, EVERY_STEP)
    assert finished.code == 0, finished.err
    assert "finished" in finished.out
    assert "resuming at step" in finished.err
    assert all(path.stat().st_mtime_ns == mtime for path, mtime in records.items())
    assert len(list(tmp_path.glob("outputs/runs/*/metrics.json"))) == 2
