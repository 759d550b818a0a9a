"""The studio's form, and what it says a run will be."""

import re

import pytest
from omegaconf import OmegaConf

from reslab.config import add_folder, compose, places
from reslab.studio import preview as previews
from reslab.studio.form import ABSENT, Wish, options, read_form
from reslab.studio.pace import Work, estimate_seconds
from studio import TINY, record


def fields(form):
    return {one["key"]: one for one in form["fields"]}


def test_a_recipe_comes_first_and_what_it_sets_is_told_from_what_it_leaves_open():
    form = read_form({"recipe": "liu_goh/resnet18"})
    assert form["groups"][0]["name"] == "recipe"
    assert "Published: 89.9 %" in form["groups"][0]["about"]
    groups = {one["name"]: one for one in form["groups"]}
    assert groups["model"]["by_recipe"]
    assert groups["model"]["otherwise"] == "resnet18_liu_goh"
    assert not groups["join"]["by_recipe"]
    assert fields(form)["trainer.max_epochs"]["by_recipe"]
    assert fields(form)["trainer.max_epochs"]["otherwise"] == "30"
    assert not fields(form)["optimizer.lr"]["by_recipe"]


def test_each_field_is_one_that_a_run_takes_as_it_stands_in_the_form():
    """An override of each field with what it is without one changes nothing."""
    form = read_form({"recipe": "bhise_karale"})
    typed = [f"++{key}={one['otherwise']}" for key, one in fields(form).items()]
    asked = compose(["recipe=bhise_karale", *typed])
    OmegaConf.set_struct(asked, False)
    before = compose(["recipe=bhise_karale"])
    for key in ABSENT:
        assert asked.trainer.pop(key.partition(".")[2]) is None
    assert asked.trainer == before.trainer
    assert asked.model == before.model
    assert asked.optimizer == before.optimizer


def test_a_new_file_of_the_users_is_offered_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [])
    add_folder(tmp_path)
    before = options()
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/mine.yaml").write_text(
        "# @package _global_\n# My own.\ndefaults:\n  - override /model: resnet20\n  - _self_\n"
        "patience: 3\n"
    )
    assert options() != before
    form = read_form({"recipe": "mine"})
    assert "mine" in form["groups"][0]["options"]
    assert form["groups"][0]["about"] == "My own."
    assert fields(form)["patience"] | {"about": ""} == {
        **{"key": "patience", "otherwise": "3", "by_recipe": True, "part": "recipe", "about": ""}
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hydra.run.dir", "/tmp/elsewhere"),
        ("hydra/launcher", "local"),
        ("hydra.searchpath", "[file:///tmp]"),
        ("--config-dir", "/tmp"),
        ("runs_dir", "/tmp"),
        ("data_dir", "/etc"),
        ("init_from", "/etc/passwd"),
        ("model._target_", "os.system"),
        ("+model._target_", "os.system"),
        ("~model", ""),
        ("model@other", "resnet18"),
        ("model", "../../../etc/passwd"),
        ("recipe", "/etc/passwd"),
        ("dataset.source.dataset._target_", "os.system"),
        ("optimizer.lr", "${oc.env:HOME}"),
        ("seed", "range(0,1000000000)"),
        ("seed", "glob(*)"),
        ("seed", "["),
        ("optimizer.optimizer", "{_target_:os.system}"),
    ],
)
def test_what_the_form_does_not_have_is_refused_by_its_name(key, value):
    wish = Wish.read({"dataset": "digits", key: value or "x"})
    assert list(wish.errors) == [key]
    assert wish.overrides == ["dataset=digits"]


@pytest.mark.slow
def test_values_that_no_run_takes_are_refused_each_at_its_field():
    wrong = {
        "seed": "-1",
        "label_smoothing": "2",
        "optimizer.lr": "0.1,0",
        "trainer.max_epochs": "many",
        "dataset.batch_size": "1.5",
        "monitor": "val/luck",
        "trainer.precision": "64",
    }
    found = previews.preview(TINY | wrong)
    assert found["errors"].keys() == wrong.keys()
    assert found["errors"]["optimizer.lr"] == "optimizer.lr must be a number above 0, got 0"
    assert "from 0 to 0.999" in found["errors"]["label_smoothing"]
    assert "runs" not in found


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("seed", "0,", "seed=0,: that is no value"),
        ("seed", "<script>", "seed=<script>: that is no value"),
        ("seed", "1e3", "seed must be a whole number, written as 1000, got 1000.0"),
        ("model.widths", "8,8", "model.widths must be a list, such as [1, 2], got 8"),
        ("model.widths", "[8.5]", "model.widths must be a whole number at least 1, got 8.5"),
        ("model.widths", "[]", "model.widths must have at least one entry, got []"),
        ("model.dropout", "1", "model.dropout must be a number from 0 to below 1, got 1"),
    ],
)
def test_what_is_wrong_is_one_plain_sentence_at_its_field(key, value, said):
    found = previews.preview(TINY | {key: value})
    assert list(found["errors"]) == [key]
    assert found["errors"][key].startswith(said)


def test_what_a_part_refuses_is_said_at_the_field_of_that_part():
    found = previews.preview(TINY | {"augment": "flip", "augment.flip.probability": "3"})
    assert list(found["errors"]) == ["augment.flip.probability"]


def test_a_file_of_the_users_that_is_no_yaml_is_said_at_its_field(tmp_path, monkeypatch):
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/half.yaml").write_text("seed: 1\npatience: [1\n")
    monkeypatch.setattr(places, "_own_folders", [tmp_path])
    found = previews.preview(TINY | {"recipe": "half"})
    assert list(found["errors"]) == ["recipe"]
    assert "half.yaml, line" in found["errors"]["recipe"]
    assert "not YAML" in found["errors"]["recipe"]
    assert read_form(TINY | {"recipe": "half"})["fields"]


def test_a_target_of_a_users_file_that_is_not_allowed_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [])
    (tmp_path / "model").mkdir()
    (tmp_path / "model/evil.yaml").write_text("_target_: os.system\ncommand: touch /tmp/evil\n")
    add_folder(tmp_path)
    found = previews.preview({"model": "evil"})
    assert "os.system is not allowed" in found["error"]
    assert "runs" not in found


def test_what_is_lacking_is_said_at_its_field_or_of_all():
    found = previews.preview({"dataset": "folder"})
    assert list(found["errors"]) == ["dataset.root"]
    found = previews.preview({"ablation": "no_skip", "join": "add"})
    assert "both choose the join" in found["errors"]["ablation"]
    assert read_form({"ablation": "no_skip", "join": "add"})["errors"] == found["errors"]


def test_fields_have_the_ranges_of_their_constructors_and_what_these_say_of_them():
    about = previews.preview(TINY | {"augment": "flip"})["about"]
    assert about["label_smoothing"]["range"] == "from 0 to 0.999"
    assert about["trainer.max_epochs"]["range"] == "at least 1"
    assert about["augment.flip.probability"]["range"] == "from 0 to 1"
    assert about["optimizer.lr"]["range"] == "above 0"
    assert about["model.dropout"]["range"] == "from 0 to below 1"
    for key, one in about.items():
        assert not re.search(r"`|None|[Dd]isabled by default", one["text"]), key
    assert about["optimizer.lr"]["text"] == "Initial learning rate."
    assert "val/loss" in about["monitor"]["choices"]


def test_a_network_is_counted_and_drawn_before_it_is_trained():
    found = previews.preview({"recipe": "virakden"})
    assert found["parameters"] == 11_172_810, "as the paper has it"
    (run,) = found["runs"]
    assert run["name"].startswith("mnist-resnet18-s0-")
    assert "<svg" in previews.draw(TINY)


def test_a_list_of_values_is_a_sweep_of_all_combinations():
    found = previews.preview(TINY | {"seed": "0,1,2", "optimizer.lr": "0.1, 0.01"})
    assert found["number"] == 6
    assert len({run["name"] for run in found["runs"]}) == 6
    assert ["seed=2", "optimizer.lr=0.01"] in [run["overrides"][-2:] for run in found["runs"]]


def test_time_goes_by_runs_of_the_same_network_here():
    one = record(0, 0.9)
    fast = one.__class__(**{**vars(one), "images_per_second": 1000.0, "epoch_seconds": 45.0})
    fast = fast.__class__(**{**vars(fast), "macs": 100, "dataset": "digits"})
    work = Work("digits", "a machine, 2 cores", 100, 50, 10, None, None)
    assert estimate_seconds(work, [fast]) == pytest.approx(10 * 45)
    short = Work("digits", "a machine, 2 cores", 100, 50, 10, 2, None)
    assert estimate_seconds(short, [fast]) == pytest.approx(10 * 100 / 1000)
    steps = Work("mnist", "a machine, 2 cores", 100, 50, -1, None, 200)
    assert estimate_seconds(steps, [fast]) == pytest.approx(200 * 50 / 1000)
    elsewhere = Work("digits", "another machine", 100, 50, 10, None, None)
    another = Work("digits", "a machine, 2 cores", 200, 50, 10, None, None)
    for unknown in (elsewhere, another):
        assert estimate_seconds(unknown, [fast]) is None
