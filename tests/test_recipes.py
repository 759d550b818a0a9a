"""Every recipe, shortened, from its command to its record."""

import json

import pytest

from processes import run
from reslab.config import list_options
from training import history, only_run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("recipe", list_options("recipe"))
def test_a_recipe_trains_on_the_digits(recipe, tmp_path):
    short = ("+trainer.limit_train_batches=2", "trainer.max_epochs=1", "dataset=digits")
    finished = run(tmp_path, "train", f"recipe={recipe}", *short)
    assert finished.code == 0, finished.err
    record = json.loads((only_run(tmp_path) / "metrics.json").read_text())
    assert record["recipe"] == recipe
    assert list(history(only_run(tmp_path))["step"]) == [2]


@pytest.mark.parametrize("recipe", ["he2016/resnet20", "he2016/plain110"])
def test_a_recipe_that_counts_steps_ends_at_its_last(recipe, tmp_path):
    finished = run(tmp_path, "train", f"recipe={recipe}", "dataset=digits", "max_steps=12")
    assert finished.code == 0, finished.err
    rows = history(only_run(tmp_path))
    assert list(rows["step"]) == [9, 12]
    assert "epoch 2/2" in finished.err


@pytest.mark.parametrize("augment", ["cutout", "mixup", "cutmix"])
def test_an_augmentation_trains_with_a_recipe(augment, tmp_path):
    short = ("+trainer.limit_train_batches=2", "trainer.max_epochs=1", "dataset=digits")
    arguments = ("recipe=bhise_karale", f"augment={augment}", "model=baseline_cnn", *short)
    finished = run(tmp_path, "train", *arguments)
    assert finished.code == 0, finished.err
    rows = history(only_run(tmp_path))
    assert rows["train/loss"].iloc[0] > 0.5, "labels are smoothed and mixed: no batch is certain"
