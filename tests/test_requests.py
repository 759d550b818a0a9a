"""A request that cannot be meant is one line, said before anything is trained or lost."""

import re

import pytest

from folders import class_folders
from processes import run
from reslab.config import folder_added
from reslab.errors import UserError
from reslab.tables.plan import load_table
from training import SMALL


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("optimizer.lr=-1", "optimizer.lr"),
        ("trainer.accelerator=quantum", "quantum"),
        ("+optimizer.optimizer.nesterof=true", "nesterof"),
        ("dataset=mnits", "did you mean mnist"),
        ("dataset=null", "there is no run without dataset"),
        ("model._target_=os.system", "not allowed"),
        ("dataset=[", "dataset=["),
        ("model=resnet18 ablation=mini_resnet", "ablation=mini_resnet"),
        ("-cn foo", "foo"),
        ("--config-dir missing", "missing"),
    ],
)
def test_a_wrong_request_is_one_line_before_data_is_looked_for(arguments, named, tmp_path):
    """More values that are refused so are in test_config."""
    given = arguments.split()
    without = [] if "dataset=" in arguments else ["dataset=mnist", "data_dir=nowhere"]
    line = run(tmp_path, "train", *without, *given).error_line()
    assert named in line
    assert "nowhere" not in line
    assert not list(tmp_path.glob("outputs/runs/*/config.yaml"))


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (
            "train dataset.batch_size=1300",
            "dataset.batch_size=1300 is more than the 1257 training images: ",
        ),
        ("train dataset.size=8 model=baseline_cnn", "1x8x8"),
        ("train augment=crop_flip augment.crop.mode=reflect augment.crop.padding=16", "dataset"),
        ("summary dataset.size=8 model=baseline_cnn", "1x8x8"),
        ("reproduce liu_goh dataset=digits dataset.size=8", "1x8x8"),
        ("data digits dataset.val_size=3", "reslab: dataset.val_size=3 does not"),
        ("data digits dataset.val_size=null", "digits has no validation set of its own"),
        ("data folder", "dataset=folder needs dataset.root=DIR"),
        ("train dataset=folder dataset.root=nowhere", "dataset.root=nowhere: there is no such"),
        ("train -m dataset=folder seed=0,1", "dataset=folder needs dataset.root=DIR"),
        ("reproduce liu_goh dataset=folder", "dataset=folder needs dataset.root=DIR"),
        ("data nothing", "choose from"),
        ("train augment=mixup augment.mix.num_classes=5", "augment"),
        ("summary --draw x.bmp", "x.bmp"),
        ("table he2106", "he2016"),
        ("train -m seed=0,1 --cfg job", "Traceback"),
    ],
)
def test_other_wrong_requests_are_one_line_too(command, named, tmp_path):
    if named == "Traceback":
        assert named not in run(tmp_path, *command.split()).err
    else:
        assert named in run(tmp_path, *command.split()).error_line()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("title: x\nrows: [{name: a, recipe: resnet3}]", "seeds"),
        ("title: x\nseeds: 0\nrows: [{name: a, recipe: resnet3}]", "seeds"),
        ("title: x\nseeds: [0]\nrows: [{name: a, recipe: resnet3, publishd: {}}]", "published"),
        ("title: x\nseeds: [0]\nrows: [{name: a, recipe: resnet}]", "resnet3"),
        ("title: x\nseeds: [0]\nrows: [{recipe: resnet3}]", "lacks name"),
        (
            "title: x\nseeds: [0]\nrows: [{name: a, recipe: resnet3, published: {accuracy: 9 %}}]",
            "9 % must be a number",
        ),
        (
            "title: x\nseeds: [0]\nrows: "
            "[{name: a, recipe: resnet3, depth: 1}, {name: b, recipe: resnet3}]",
            "depth",
        ),
        ("title: [", "not YAML"),
        ("- 1", "must be a mapping"),
    ],
)
def test_a_table_that_cannot_be_is_refused_in_a_line(content, named, tmp_path):
    (tmp_path / "conf/table").mkdir(parents=True)
    (tmp_path / "conf/table/mine.yaml").write_text(content)
    with folder_added(tmp_path / "conf"), pytest.raises(UserError) as refused:
        load_table("mine", ["dataset=digits"])
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_table_that_cannot_be_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "conf/table").mkdir(parents=True)
    rows = "[{name: a, recipe: resnet3}, {name: b, recipe: resnet}]"
    (tmp_path / "conf/table/mine.yaml").write_text(f"title: x\nseeds: [0]\nrows: {rows}")
    asked = ("reproduce", "mine", "dataset=digits", "--config-dir", "conf")
    assert "resnet3" in run(tmp_path, *asked).error_line()
    assert not list(tmp_path.glob("outputs/runs/*"))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("-m",), ("--cfg", "job"), ()])
def test_an_own_folder_goes_with_hydra_s_flags(flags, tmp_path):
    (tmp_path / "conf/recipe").mkdir(parents=True)
    text = "# @package _global_\noptimizer: {lr: 0.25}\n"
    (tmp_path / "conf/recipe/mine.yaml").write_text(text)
    short = (*SMALL, "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "logger=none")
    asked = ("recipe=mine", "seed=0,1" if flags == ("-m",) else "seed=0", *short)
    finished = run(tmp_path, "train", "--config-dir", "conf", *flags, *asked)
    assert finished.code == 0, finished.err
    runs = list(tmp_path.glob("outputs/runs/*/config.yaml"))
    assert len(runs) == {"-m": 2, "--cfg": 0, "": 1}[flags[0] if flags else ""]
    texts = [path.read_text() for path in runs] or [finished.out]
    assert all("lr: 0.25" in text for text in texts)


@pytest.mark.long
def test_a_refused_run_that_is_resumed_is_refused_in_a_line_again(tmp_path):
    """Hydra's own line, with the whole command in it, is not shown; nor is there one for the sum."""
    class_folders(tmp_path / "pets", {"cat": 6, "dog": 6})
    (tmp_path / "pets/cat/000.png").write_bytes(b"")
    asked = (*SMALL, "dataset=folder", "dataset.root=pets", "logger=none", "dataset.batch_size=2")
    refused = run(tmp_path, "train", *asked)
    assert "1 of 12 pictures cannot be read" in refused.error_line()
    (folder,) = tmp_path.glob("outputs/runs/pets-*")
    again = run(tmp_path, "resume", folder.name)
    assert again.error_line().startswith("reslab: 1 of 12 pictures cannot be read")
    assert again.err.count("\n") == 1, again.err
    (tmp_path / "pets").rename(tmp_path / "gone")
    again = run(tmp_path, "train", "--from", folder.name)
    assert re.match(r"reslab: dataset\.root=\S*pets: there is no such", again.error_line())
    assert again.err.count("\n") == 1, again.err
