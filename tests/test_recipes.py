"""Every recipe, shortened, from its command to its record."""

import json
import re

import pytest

from processes import run
from reslab.config import list_options
from training import history, only_run

pytestmark = pytest.mark.slow


SHORT = (
    *("+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1", "trainer.max_epochs=1"),
    *("dataset=digits", "dataset.batch_size=8", "dataset.size=16"),
)


OF_THREE_OR_FIVE_STAGES = ("he2016/", "resnet3", "bhise_karale")


# Those that differ from another one in their depth alone, in what they leave out, or in strides.
LIKE_OTHERS = re.compile(
    r"he2016/.*(32|44|56|110)|speed/(?!cpu|resnet18_94)|liu_goh/readings/|bhise"
)
DEEPEST = "he2016/plain110"
RECIPES = [
    pytest.param(name, marks=[pytest.mark.long] * bool(LIKE_OTHERS.match(name)))
    for name in list_options("recipe")
    if name != DEEPEST
]


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    """Recipe to the directory of its run, of sweeps over those that are tested, and what they said.

    Networks of four stages are narrower than they are.
    """
    folder, said = tmp_path_factory.mktemp("recipes"), ""
    items = [one for one in request.session.items if "trained" in getattr(one, "fixturenames", ())]
    recipes = {
        one.callspec.params["recipe"]
        for one in items
        if one.path == request.path and hasattr(one, "callspec")
    }
    others = {one for one in recipes if one.startswith(OF_THREE_OR_FIVE_STAGES)}
    for some, narrow in ((others, ()), (recipes - others, ("model.widths=[16,32,64,128]",))):
        swept = run(folder, "train", "-m", f"recipe={','.join(sorted(some))}", *narrow, *SHORT)
        said += f"exit status {swept.code}\n{swept.err}"
    records = folder.glob("outputs/runs/*/metrics.json")
    return {json.loads(path.read_text())["recipe"]: path.parent for path in records}, said


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_on_the_digits(recipe, trained):
    runs, said = trained
    assert recipe in runs, said
    assert list(history(runs[recipe])["step"]) == [2]


@pytest.mark.long
def test_without_skips_110_layers_have_answers_once_batch_norm_has_settled(tmp_path):
    """After two steps its statistics are so far off that no answer is finite: the run has failed."""
    failed = run(tmp_path / "short", "train", f"recipe={DEEPEST}", *SHORT)
    assert failed.code == 1
    assert "val/loss was not finite after any epoch" in failed.error_line()
    more = ("+trainer.limit_train_batches=60", *SHORT[1:])
    trained = run(tmp_path / "longer", "train", f"recipe={DEEPEST}", *more)
    assert trained.code == 0, trained.err
    assert list(history(only_run(tmp_path / "longer"))["step"]) == [60]


def test_the_sweeps_over_recipes_succeed(trained):
    assert trained[1].count("exit status 0\n") == 2, trained[1]


@pytest.mark.parametrize(
    "recipe", ["he2016/resnet20", pytest.param("he2016/plain110", marks=pytest.mark.long)]
)
def test_a_recipe_that_counts_steps_ends_at_its_last(recipe, tmp_path):
    asked = (f"recipe={recipe}", "model=resnet20", "dataset=digits", "max_steps=12")
    finished = run(tmp_path, "train", *asked)
    assert finished.code == 0, finished.err
    rows = history(only_run(tmp_path))
    assert list(rows["step"]) == [9, 12]
    assert "epoch 2/2" in finished.err


@pytest.mark.parametrize("augment", ["cutout", "mixup", "cutmix"])
def test_an_augmentation_trains_with_a_recipe(augment, tmp_path):
    arguments = ("recipe=bhise_karale", f"augment={augment}", "model=baseline_cnn", *SHORT)
    finished = run(tmp_path, "train", *arguments)
    assert finished.code == 0, finished.err
    rows = history(only_run(tmp_path))
    assert rows["train/loss"].iloc[0] > 0.5, "labels are smoothed and mixed: no batch is certain"
