"""A run's configuration once more, with changes: `reslab train --from RUN`."""

import json
import shutil

import pytest
from omegaconf import OmegaConf

from folders import class_folders
from processes import run
from reslab.config import compose, list_options, parse_overrides
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs.again import again
from reslab.runs.extension import settled
from reslab.runs.identity import identity, run_name
from reslab.runs.pins import as_typed
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from training import SMALL, only_run


class Told(Reporter):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def begun(folder, overrides, *, with_request=True):
    """The directory of a run that such a command has begun."""
    cfg = settled(compose(overrides))
    directory = RunDirectory(folder / run_name(cfg))
    directory.path.mkdir(parents=True)
    directory.write_config(cfg)
    if with_request:
        Request.here(overrides, None).write(directory.request_file)
    return directory


def name_of(overrides):
    return run_name(settled(compose(overrides)))


COSINE = ["model=mini_resnet", "optimizer=sgd_cosine", "trainer.max_epochs=7"]
COMMANDS = {
    "nothing": [],
    "cosine": COSINE,
    "recipe": ["recipe=he2016/plain20", "seed=3", "max_steps=200"],
    "recipe and ablation": ["recipe=liu_goh/resnet18", "ablation=no_skip"],
    "a value below": [
        "augment=crop_flip",
        "augment.crop.padding=2",
        "+trainer.limit_val_batches=3",
    ],
    "left out": ["dataset=cifar10_common_constants", "augment=flip", "~augment.flip.probability"],
    "warm-up": ["optimizer=sgd_he2016_warmup", "max_steps=500", "trainer.max_epochs=-1"],
    "given": ["optimizer=sgd_step", "optimizer.schedule.milestones=[1,3]", "optimizer.lr=1e-5"],
    "started from": ["init_from=digits-x-s0-12345678", "optimizer.schedule=null"],
    "a schedule by hand": [
        "optimizer.schedule={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:2}"
    ],
    "quoted": ["++dataset.name='it\\'s a name'", "model.widths=[4,8,16,32]"],
}
IDS = list(COMMANDS)


with_or_without_request = pytest.mark.parametrize(
    "with_request",
    [True, pytest.param(False, marks=pytest.mark.long)],
    ids=["its request", "its copy"],
)


@with_or_without_request
@pytest.mark.parametrize("command", COMMANDS.values(), ids=IDS)
def test_without_changes_it_is_the_same_run(command, with_request, tmp_path):
    directory = begun(tmp_path, command, with_request=with_request)
    told = Told()
    overrides = again(str(directory.path), [], tmp_path, told)
    assert name_of(overrides) == directory.name
    assert told.lines == []
    if with_request:
        assert overrides == command


CHANGES = {
    "a length that a schedule follows": (COSINE, ["trainer.max_epochs=20"]),
    "another schedule": (COSINE, ["optimizer=sgd_step"]),
    "another model": (COSINE, ["model=baseline_cnn"]),
    "channels that a model follows": (COSINE, ["dataset.channels=3"]),
    "another data set": (COSINE, ["dataset=cifar10", "augment=crop_flip"]),
    "another augmentation": (["augment=mixup", "augment.mix.alpha=0.2"], ["augment=flip"]),
    "another length of shares": (
        ["recipe=he2016/resnet20", "max_steps=1000"],
        ["max_steps=3000", "seed=1"],
    ),
    "another join": (["recipe=liu_goh/resnet18"], ["join=none"]),
    "an ablation": (["recipe=he2016/resnet20"], ["ablation=no_skip"]),
    "a seed that the data set follows": (["model=baseline_cnn", "seed=4"], ["seed=5"]),
    "what was changed": (["model=baseline_cnn", "model.dropout=0.5"], ["model.dropout=0.25"]),
    "something new": ([], ["+trainer.limit_train_batches=3"]),
    "something left out": (["augment=crop_flip"], ["~augment.flip"]),
    "a place": (["runs_dir=a", "logger=none"], ["runs_dir=b", "data_dir=c"]),
}


@with_or_without_request
@pytest.mark.parametrize(("command", "changes"), CHANGES.values(), ids=CHANGES)
def test_a_change_acts_as_on_the_command(command, changes, with_request, tmp_path):
    """Which is the independent way to the same configuration."""
    directory = begun(tmp_path, command, with_request=with_request)
    keys = {key for key, _, _ in parse_overrides(changes)}
    before = [text for key, text, _ in parse_overrides(command) if key not in keys]
    if "augment" in keys:
        before = [text for text in before if not text.startswith("augment.")]
    overrides = again(str(directory.path), changes, tmp_path)
    assert name_of(overrides) == name_of([*before, *changes])
    assert name_of(overrides) != directory.name or "runs_dir=b" in changes


def test_what_another_choice_does_not_have_is_left_out_and_said(tmp_path):
    directory = begun(
        tmp_path, ["augment=crop_flip", "augment.crop.padding=2", "augment.flip.probability=0.3"]
    )
    told = Told()
    overrides = again(str(directory.path), ["augment=flip"], tmp_path, told)
    assert name_of(overrides) == name_of(["augment=flip", "augment.flip.probability=0.3"])
    (line,) = told.lines
    assert "augment.crop.padding=2 is left out" in line


@pytest.mark.slow
def test_what_a_copy_has_below_a_group_gives_way_to_another_choice(tmp_path):
    command = ["model=baseline_cnn", "model.widths=[1,2,3,4]", "optimizer.lr=0.5"]
    directory = begun(tmp_path, command, with_request=False)
    for changes in (["model=mini_resnet"], ["ablation=mini_resnet"]):
        overrides = again(str(directory.config_file), changes, tmp_path)
        assert name_of(overrides) == name_of(["model=mini_resnet", "optimizer.lr=0.5"])


A_RECIPE_OF_EACH_FOLDER = {
    name.rpartition("/")[0] or name: name for name in list_options("recipe")
}.values()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", A_RECIPE_OF_EACH_FOLDER)
def test_a_recipe_s_copy_is_that_recipe(recipe, tmp_path):
    directory = begun(tmp_path, [f"recipe={recipe}"], with_request=False)
    assert name_of(again(str(directory.config_file), [], tmp_path)) == directory.name


@pytest.mark.slow
def test_a_copy_wherever_it_is_and_whatever_it_is_called(tmp_path):
    directory = begun(tmp_path / "runs", COSINE)
    copy = tmp_path / "elsewhere/mine.yml"
    copy.parent.mkdir()
    shutil.copy(directory.config_file, copy)
    assert name_of(again(str(copy), [], tmp_path)) == directory.name
    longer = again(str(copy), ["trainer.max_epochs=9"], tmp_path)
    assert name_of(longer) == name_of([*COSINE[:2], "trainer.max_epochs=9"])


def test_presets_that_have_changed_since_are_said_and_the_run_is_as_it_was(tmp_path):
    directory = begun(tmp_path, COSINE)
    kept = OmegaConf.load(directory.config_file)
    kept.optimizer.lr, kept.optimizer.optimizer.momentum = 0.3, 0.8
    OmegaConf.save(kept, directory.config_file)
    told = Told()
    overrides = again(str(directory.path), [], tmp_path, told)
    assert identity(compose(overrides)) == identity(kept)
    (line,) = told.lines
    assert "++optimizer.lr=0.3" in line
    assert "++optimizer.optimizer.momentum=0.8" in line


@pytest.mark.slow
def test_a_command_that_is_not_understood_any_more_is_as_a_copy(tmp_path):
    directory = begun(tmp_path, COSINE)
    Request.here([*COSINE, "no.such=1"], None).write(directory.request_file)
    assert name_of(again(str(directory.path), [], tmp_path)) == directory.name


def test_what_it_went_on_with_is_part_of_a_run_where_its_result_depends_on_it(tmp_path):
    constant = begun(tmp_path, [*SMALL, "extend_from=a-run"])
    assert again(str(constant.path), [], tmp_path) == list(SMALL)
    cosine = begun(tmp_path, [*COSINE, "extend_from=a-run"])
    for source in (cosine.path, cosine.config_file):
        assert name_of(again(str(source), [], tmp_path)) == cosine.name


@pytest.mark.slow
@with_or_without_request
def test_a_folder_of_pictures_is_the_run_s(with_request, tmp_path):
    root = class_folders(tmp_path / "pictures", {"cat": 30, "dog": 30})
    command = [*SMALL, "dataset=folder", f"dataset.root={root}", "dataset.size=16"]
    directory = begun(tmp_path / "runs", command, with_request=with_request)
    assert name_of(again(str(directory.path), [], tmp_path)) == directory.name
    smaller = again(str(directory.path), ["dataset.size=32", "seed=1"], tmp_path)
    assert name_of(smaller) == name_of([*command[:-1], "dataset.size=32", "seed=1"])


def pictures_run(folder, *asked, with_request=True):
    """A folder of grey pictures with a run begun on it, and the run's command."""
    root = class_folders(folder / "pictures", {"cat": 6, "dog": 6}, shape=(12, 10))
    command = [*SMALL, "dataset=folder", f"dataset.root={root}", "dataset.size=16", *asked]
    return root, command, begun(folder / "runs", command, with_request=with_request)


PICTURES_CHANGE = {
    "a picture more": {"cat/more": 1},
    "a class more": {"lion": 6},
    "in color": {"dog/more": 1},
}


@with_or_without_request
@pytest.mark.parametrize("change", PICTURES_CHANGE)
def test_where_pictures_have_changed_it_is_the_run_on_what_there_is_now(
    change, with_request, tmp_path
):
    root, command, directory = pictures_run(tmp_path, with_request=with_request)
    shape = (12, 10, 3) if change == "in color" else (12, 10)
    class_folders(root, PICTURES_CHANGE[change], shape=shape, seed=1)
    told = Told()
    name = name_of(again(str(directory.path), [], tmp_path, told))
    assert name == name_of(command)
    assert name != directory.name
    assert told.lines == [
        f"--from: the pictures in {root} have changed since {directory.name}: this is another run"
    ]
    longer = ["trainer.max_epochs=2"]
    assert name_of(again(str(directory.path), longer, tmp_path)) == name_of([*command, *longer])


@with_or_without_request
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "there"])
def test_another_folder_s_pictures_are_followed(gone, with_request, tmp_path):
    root, command, directory = pictures_run(tmp_path, with_request=with_request)
    other = class_folders(tmp_path / "others", {"a": 4, "b": 4, "c": 4})
    if gone:
        shutil.rmtree(root)
    told, change = Told(), f"dataset.root={other}"
    cfg = compose(again(str(directory.path), [change], tmp_path, told))
    assert run_name(settled(cfg)) == name_of([*command, change])
    found = cfg.dataset.name, cfg.dataset.num_classes, cfg.model.in_channels, cfg.model.num_classes
    assert found == ("others", 3, 3, 3)
    assert told.lines == []


@with_or_without_request
def test_what_was_chosen_against_what_a_folder_holds_is_kept(with_request, tmp_path):
    chosen = ["dataset.channels=3", "dataset.name=old"]
    _, command, directory = pictures_run(tmp_path, *chosen, with_request=with_request)
    assert name_of(again(str(directory.path), ["seed=1"], tmp_path)) == name_of(
        [*command, "seed=1"]
    )


def test_relative_paths_are_meant_from_where_the_command_was_given(tmp_path, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    class_folders(there / "pets", {"cat": 6, "dog": 6})
    (there / "data").mkdir()
    (there / "mine").mkdir()
    monkeypatch.chdir(there)
    command = [*SMALL, "dataset=folder", "dataset.root=pets", "init_from=mine"]
    directory = begun(there / "runs", command)
    monkeypatch.chdir(here)
    told = Told()
    cfg = compose(again(str(directory.path), [], tmp_path, told))
    assert run_name(settled(cfg)) == directory.name
    expected = {key: str(there / key) for key in ("pets", "data", "mine")}
    assert [cfg.dataset.root, cfg.data_dir, cfg.init_from] == list(expected.values())
    for key, place in zip(("dataset.root", "data_dir", "init_from"), expected.values()):
        assert f"--from: {key} is {place}, from where {directory.name} was begun" in told.lines
    class_folders(here / "pets", {"cat": 6, "dog": 6})
    given = compose(again(str(directory.path), ["data_dir=ours"], tmp_path))
    assert [given.dataset.root, given.data_dir] == ["pets", "ours"]


def test_a_refused_run_s_folder_is_found_from_elsewhere_too(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    class_folders(tmp_path / "pets", {"cat": 6, "dog": 6})
    monkeypatch.chdir(tmp_path)
    directory = begun(tmp_path / "runs", ["dataset=folder", "dataset.root=pets"])
    directory.config_file.unlink()
    monkeypatch.chdir(tmp_path / "here")
    overrides = again(str(directory.path), ["seed=1"], tmp_path)
    assert overrides == [
        "dataset=folder",
        f"dataset.root={as_typed(str(tmp_path / 'pets'))}",
        "seed=1",
    ]


def test_what_a_command_asked_of_itself_is_not_asked_again(tmp_path):
    """Else a finished run would be deleted that was once started over."""
    directory = begun(tmp_path, [*COSINE, "rerun=true"])
    assert again(str(directory.path), [], tmp_path) == COSINE
    assert again(str(directory.path), ["rerun=2"], tmp_path) == [*COSINE, "rerun=2"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("a: [", "cannot be read as a run's configuration"),
        ("\0\1", "cannot be read as a run's configuration"),
        ("", "is no run's configuration"),
        ("[1]", "is no run's configuration"),
        ("just text", "run's configuration"),
        ("seed: 1\n", "it lacks one of dataset, model, optimizer, trainer"),
        ("dataset: 1\nmodel: 2\noptimizer: 3\ntrainer: 4\n", "it lacks one of"),
        (
            "dataset: {}\nmodel: {}\noptimizer: {}\ntrainer: {}\n",
            "is not what any overrides come to",
        ),
        ("dataset: ${x}\nmodel: {}\noptimizer: {}\ntrainer: {}\n", "cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["config.yaml", "other.yaml"])
def test_what_is_no_run_s_configuration_is_one_line(content, line, name, tmp_path):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UserError) as error:
        again(str(path), [], tmp_path)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1, 1.5, 1e-5, "a", "a b", "it's", "\\", "a\\", "a\\'b", "'", "null", "True"),
        *("1", "1e3", "a,b", "[x]", "{a}", "a=b", "", " ", "x/y.z", "a:b", "é", "-5", "C:\\x"),
        *([1, "a", [2.5]], {"_target_": "a.b.C", "x": [1, {"y": None}]}, float("inf")),
    ],
)
def test_a_value_is_read_as_what_it_was(value):
    ((_, _, (read,)),) = parse_overrides([f"++key={as_typed(value)}"])
    assert getattr(read, "text", read) == value


@pytest.mark.long
def test_the_command_trains_finds_and_sweeps(trained, tmp_path):
    """By a part of the name; a finished run is found; with -m the changes are swept over."""
    shutil.copytree(trained, tmp_path / "copy")
    trained = tmp_path / "copy"
    source = only_run(trained)
    there = run(trained, "train", "--from", "baseline_cnn")
    assert f"{source}: finished" in there.out, there.err
    swept = run(trained, "train", "-m", "--from", source.name, "seed=1,2", "trainer.max_epochs=1")
    assert swept.code == 0, swept.err
    records = [json.loads(path.read_text()) for path in trained.glob("outputs/runs/*/metrics.json")]
    assert sorted((one["seed"], one["epochs"]) for one in records) == [(0, 3), (1, 1), (2, 1)]
    ours = next(one for one in records if one["seed"] == 1)["overrides"]
    assert set(SMALL) | {"optimizer.lr=0.01", "seed=1", "trainer.max_epochs=1"} <= set(ours)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--from", "nothing"], "no run is called nothing"),
        (["--from", "missing/config.yaml"], "no run is called missing/config.yaml"),
        (["--from", "digits", "model.dropuot=1"], "no option model.dropuot; did you mean model.dr"),
        (["--from", "digits", "model=mini_resnt"], "did you mean mini_resnet"),
        (["--from", "digits", "runs_dir=elsewhere"], "no run is called digits under elsewhere"),
        (["--from", "digits", "optimizer.lr=-1"], "optimizer.lr must be"),
        (["--from={best}"], "best.ckpt cannot be read as a run's configuration"),
    ],
)
def test_what_cannot_be_trained_again_is_one_line(arguments, line, trained):
    best = str(only_run(trained) / "checkpoints/best.ckpt")
    given = [argument.format(best=best) for argument in arguments]
    assert line in run(trained, "train", *given).error_line()
