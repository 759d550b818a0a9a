"""What a Hydra sweeper is told of each run."""

import json

import pandas as pd
import yaml

from reslab.cli import app
from training import SMALL

MONITORS = ["val/accuracy", "val/loss", "train/accuracy", "train/loss"]


def test_a_sweeper_optimizes_what_chose_the_best_epoch_and_never_the_test_set(
    in_empty_folder, monkeypatch
):
    told, objective = [], app.objective
    monkeypatch.setattr(app, "objective", lambda *run: told.append(objective(*run)) or told[-1])
    asked = (
        *("-m", f"monitor={','.join(MONITORS)}", *SMALL, "trainer=cpu", "trainer.quiet=true"),
        *("optimizer.lr=0.3", "trainer.max_epochs=4", "+trainer.limit_train_batches=4"),
    )
    monkeypatch.setattr("sys.argv", ["reslab train", *asked])
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
