import os
import shutil
import subprocess
import sys

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from cpu_time import children_take_less
from folders import class_folders
from reslab.analysis.summary import count_parameters
from reslab.callbacks import StopRequest
from reslab.config import (
    CONF_DIR,
    add_folder,
    compose,
    folder_added,
    instantiate,
    list_options,
    places,
)
from reslab.errors import UserError
from reslab.nn import AddJoin, NoJoin, PadJoin
from reslab.nn.blocks import BasicBlock
from reslab.runs.build import build
from reslab.runs.check import check
from reslab.runs.store import RunDirectory

DATASETS = list_options("dataset")
RECIPES = list_options("recipe")
ABLATIONS = list_options("ablation")


def test_groups_stand_in_the_order_in_which_the_last_override_wins():
    defaults = yaml.safe_load((CONF_DIR / "train.yaml").read_text())["defaults"]
    groups = [key for entry in defaults if isinstance(entry, dict) for key in entry]
    expected = [
        "dataset",
        "augment",
        "join",
        "model",
        "optimizer",
        "trainer",
        "logger",
        "recipe",
        "ablation",
    ]
    assert [group for group in groups if not group.startswith("override")] == expected


# Channels and classes of the images, as their papers say.
IMAGES = {
    "digits": (1, 10),
    "mnist": (1, 10),
    "fashion_mnist": (1, 10),
    "cifar10": (3, 10),
    "cifar10_common_constants": (3, 10),
    "cifar100": (3, 100),
    "folder": (3, 2),
}

# Widths of the stages, blocks in each, and strides, as the papers say.
SHAPES = {
    "resnet18": ((64, 128, 256, 512), (2, 2, 2, 2), (1, 2, 2, 2)),
    "resnet18_liu_goh": ((64, 128, 256, 512), (2, 2, 2, 2), (2, 2, 2, 2)),
    "resnet18_whitened": ((64, 128, 256, 512), (2, 2, 2, 2), (1, 2, 2, 2)),
    "resnet18_stride2": ((64, 128, 256, 512), (2, 2, 2, 2), (1, 2, 2, 2)),
    "mini_resnet": ((32, 64, 128, 256), (2, 2, 2, 2), (2, 2, 2, 2)),
    "resnet18_projections": ((64, 128, 256, 512), (2, 2, 2, 2), (1, 2, 2, 2)),
    "mini_resnet_stride1": ((32, 64, 128, 256), (2, 2, 2, 2), (1, 2, 2, 2)),
    "resnet10_whitened": ((32, 64, 128, 256), (1, 1, 1, 1), (1, 2, 2, 2)),
    "resnet10_stride2": ((32, 64, 128, 256), (1, 1, 1, 1), (1, 2, 2, 2)),
    "compact_resnet": ((36, 72, 144, 256, 64), (3, 3, 3, 3, 1), (1, 2, 2, 2, 2)),
} | {f"resnet{6 * n + 2}": ((16, 32, 64), (n, n, n), (1, 2, 2)) for n in (3, 5, 7, 9, 18)}

# The network and the join of each recipe, as the papers say.
NETWORKS = {
    "bhise_karale": ("compact_resnet", AddJoin),
    "liu_goh/baseline_cnn": ("baseline_cnn", None),
    "liu_goh/mini_resnet": ("mini_resnet", AddJoin),
    "liu_goh/no_skip": ("resnet18_liu_goh", NoJoin),
    "liu_goh/resnet18": ("resnet18_liu_goh", AddJoin),
    "resnet3": ("resnet20", PadJoin),
    "system/cifar10": ("resnet18_stride2", AddJoin),
    "system/mnist": ("resnet18_stride2", AddJoin),
    "virakden": ("resnet18", AddJoin),
    "speed/cpu_10_minutes": ("resnet10_whitened", AddJoin),
    "speed/cpu_no_whitening": ("resnet10_stride2", AddJoin),
}
NETWORKS |= {
    f"speed/{name}": ("resnet18", AddJoin)
    for name in (
        *("resnet18_94", "constant_rate", "no_average", "no_lookahead", "no_small_images"),
        "no_smoothing",
    )
}
NETWORKS["speed/with_whitening"] = ("resnet18_whitened", AddJoin)
NETWORKS |= {
    "liu_goh/readings/mini_resnet_keras": NETWORKS["liu_goh/mini_resnet"],
    "liu_goh/readings/mini_resnet_stride1": ("mini_resnet_stride1", AddJoin),
    "liu_goh/readings/mini_resnet_stride1_keras": ("mini_resnet_stride1", AddJoin),
    "liu_goh/readings/no_skip_stride1": ("resnet18_projections", NoJoin),
    "liu_goh/readings/resnet18_stride1": ("resnet18_projections", AddJoin),
}
for depth in (20, 32, 44, 56, 110):
    NETWORKS[f"he2016/resnet{depth}"] = (f"resnet{depth}", PadJoin)
    NETWORKS[f"he2016/plain{depth}"] = (f"resnet{depth}", NoJoin)


def expected_parameters(model, join, channels, classes):
    """By the definition: 3x3 convolutions and BatchNorm, projections where shapes differ."""
    if model == "baseline_cnn":
        total = sum(9 * a * b + 3 * b for a, b in [(channels, 32), (32, 64), (64, 128), (128, 256)])
        return total + 256 * classes + classes
    widths, blocks, strides = SHAPES[model]
    total, channels = 9 * channels * widths[0] + 2 * widths[0], widths[0]
    for width, depth, stride in zip(widths, blocks, strides, strict=True):
        total += 9 * channels * width + (2 * depth - 1) * 9 * width * width + 4 * depth * width
        projects = model in ("resnet18_projections", "mini_resnet_stride1")
        if join is AddJoin and (projects or stride != 1 or channels != width):
            total += channels * width + 2 * width
        channels = width
    return total + channels * classes + classes


# Every recipe with a third of the data sets, and these with a third of the recipes; on every change
# with half as many.
DEALT = [
    pytest.param(recipe, dataset, marks=[pytest.mark.long] * ((at + number) % 6 > 0))
    for at, recipe in enumerate(RECIPES)
    for number, dataset in enumerate(DATASETS)
    if (at + number) % 3 == 0
]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "dataset"), DEALT)
def test_every_ablation_builds_what_it_names_and_leaves_the_rest_of_the_recipe(
    recipe, dataset, tmp_path
):
    """Every recipe, data set and ablation; ablations are dealt to the two others."""
    data = [f"dataset={dataset}"]
    if dataset == "folder":
        data.append(f"dataset.root={class_folders(tmp_path, {'cat': 1, 'dog': 1})}")
    alone = compose([f"recipe={recipe}", *data])
    assert len(ABLATIONS) <= len(DATASETS)
    number = (RECIPES.index(recipe) + DATASETS.index(dataset)) % len(DATASETS)
    for ablation in [None, *ABLATIONS[number : number + 1]]:
        chosen = [f"ablation={ablation}"] if ablation else []
        cfg = compose([f"recipe={recipe}", *chosen, *data])
        check(cfg)
        model, join = NETWORKS[recipe]
        if ablation in ("skip", "skip_pad", "no_skip"):
            join = {"skip": AddJoin, "skip_pad": PadJoin, "no_skip": NoJoin}[ablation]
            if (model, join) == ("compact_resnet", PadJoin):
                return  # it narrows, and padding cannot: refused, and tested with the networks
        elif ablation is not None:
            assert ablation in ("baseline_cnn", "mini_resnet"), "say here what it must build"
            model, join = ablation, join or AddJoin
        with torch.device("meta"):
            network = instantiate(cfg, "model")
        blocks = [module for module in network.modules() if isinstance(module, BasicBlock)]
        assert {type(block.join) for block in blocks} == ({join} if blocks else set())
        assert len(blocks) == (0 if model == "baseline_cnn" else sum(SHAPES[model][1]))
        expected = expected_parameters(model, join, *IMAGES[dataset])
        assert count_parameters(network) == expected, (ablation, model)
        for key in alone:
            if key not in ("model", "join"):
                assert cfg[key] == alone[key], key


def test_a_skip_of_the_papers_comes_back():
    for plain, ablation, residual in [
        ("liu_goh/no_skip", "skip", "liu_goh/resnet18"),
        ("he2016/plain20", "skip_pad", "he2016/resnet20"),
    ]:
        again = compose([f"recipe={plain}", f"ablation={ablation}"])
        assert again == compose([f"recipe={residual}"])


def test_a_users_folder_may_not_hide_a_file_of_ours(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/resnet18.yaml").write_text("")
    with pytest.raises(UserError, match=r"model/resnet18\.yaml"):
        add_folder(tmp_path)


def test_pairs_that_are_one_request_are_one_configuration():
    assert compose(["recipe=liu_goh/resnet18", "ablation=no_skip"]) == compose(
        ["recipe=liu_goh/no_skip"]
    )
    assert compose(["recipe=liu_goh/no_skip", "ablation=skip"]) == compose(
        ["recipe=liu_goh/resnet18"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("index", range(len(RECIPES)))
def test_a_group_chosen_on_the_command_line_beats_the_recipe(index):
    """For each recipe an option or two, so that each option comes up with some recipe."""
    everything = [
        (group, option)
        for group in ("dataset", "augment", "model", "optimizer")
        for option in list_options(group)
    ]
    for group, option in everything[index :: len(RECIPES)]:
        chosen_beats_recipe(group, option, RECIPES[index])


def chosen_beats_recipe(group, option, recipe):
    chosen = OmegaConf.to_container(compose([f"{group}={option}"])[group])
    cfg = compose([f"recipe={recipe}", f"{group}={option}"])
    mine = OmegaConf.to_container(cfg[group])
    for key in ("_target_", "source", "stem", "strides", "widths", "schedule", "crop", "mix"):
        assert mine.get(key) == chosen.get(key), key


@pytest.mark.slow
def test_recipes_set_only_keys_that_every_member_of_a_group_has():
    known = {
        (group, option): set(compose([f"{group}={option}"])[group])
        for group in ("dataset", "model", "optimizer", "trainer")
        for option in list_options(group)
    }
    for path in (CONF_DIR / "recipe").rglob("*.yaml"):
        for group, values in yaml.safe_load(path.read_text()).items():
            if isinstance(values, dict):
                for option in list_options(group):
                    assert set(values) <= known[group, option], (path, option)


@pytest.mark.parametrize(
    ("override", "suggestion"),
    [
        ("datset=mnist", "dataset"),
        ("dataset=mnits", "mnist"),
        ("optimizr.lr=1", "optimizer.lr"),
        ("optimizer.lrr=1", "optimizer.lr"),
        ("recipe=liu_goh/resnet19", "liu_goh/resnet18"),
        ("ablation=noskip", "no_skip"),
        ("trainer.max_epoch=3", "trainer.max_epochs"),
        ("sed=1", "seed"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(override, suggestion):
    with pytest.raises(UserError) as refused:
        compose([override])
    message = str(refused.value)
    assert "\n" not in message
    assert suggestion in message.partition("did you mean")[2]


def make(*overrides, folder):
    cfg = compose(overrides)
    check(cfg)
    return build(cfg, RunDirectory(folder / "run"), StopRequest())


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("optimizer.lr=-0.1", "lr"),
        ("dataset.batch_size=0", "batch_size"),
        ("trainer.max_epochs=0", "max_epochs"),
        ("trainer.max_epochs=1.5", "max_epochs"),
        ("trainer.accelerator=quantum", "quantum"),
        ("trainer.precision=3", "precision"),
        ("monitor=val/acuracy", "val/accuracy"),
        ("patience=0", "patience"),
        ("seed=-1", "seed"),
        ("resume=yes", "resume"),
        ("label_smoothing=1", "label_smoothing"),
        ("model.dropout=2", "dropout"),
        ("model.stem=conv9", "conv3x3"),
        ("augment=crop_flip augment.crop.mode=mirror", "reflect"),
        ("+trainer.gradient_clip=1", "gradient_clip_val"),
        ("+trainer.gradient_clip_algorithm=values", "value"),
        ("+model.dropuot=1", "dropout"),
        ("optimizer.lr=inf", "optimizer.lr"),
        ("dataset.batch_size=6.5", "dataset.batch_size"),
        ("dataset.size=abc", "dataset.size"),
        ("label_smoothing=abc", "label_smoothing"),
        ("ema=1", "ema must be a number from 0.5 to 0.99999, got 1"),
        ("lookahead=1", "lookahead must be a whole number at least 2, got 1"),
        ("lookahead=2.5", "lookahead"),
        ("dataset.small_size=24", "small_size and small_epochs go together, got 24 and None"),
        (
            "dataset.small_size=28 dataset.small_epochs=1",
            "small_size must be below size=28, got 28",
        ),
        (
            "dataset.small_size=0 dataset.small_epochs=1",
            "dataset.small_size must be a whole number",
        ),
        (
            "model=baseline_cnn dataset.small_size=8 dataset.small_epochs=1",
            "model does not take images of 1x8x8",
        ),
        ("class_weights=heavy", "class_weights must be null or balanced, got heavy"),
        ("checkpoint_every=abc", "checkpoint_every"),
        ("seed=true", "seed"),
        ("optimizer.schedule.factor=1.5 optimizer=adam_plateau", "actor"),
        ("+trainer.val_check_interval=0.5", "val_check_interval"),
        ("+trainer.max_steps=5", "max_steps"),
        ("trainer.devices=2", "trainer.devices=2"),
        ("+trainer.limit_train_batches=0", "trainer.limit_train_batches"),
        ("+trainer.logger=true", "trainer.logger"),
        ("model.num_classes=5", "5"),
        ("max_steps=0", "max_steps"),
        ("max_steps=1.5", "max_steps"),
        ("trainer.max_epochs=-1", "max_steps"),
        ("optimizer=sgd_he2016", "max_steps"),
        ("optimizer.decay_all=maybe", "decay_all"),
        ("augment=flip augment.flip=null", "flip"),
        ("augment=cutout augment.cutout.size=1.5", "size"),
    ],
)
def test_a_wrong_value_is_refused_by_name_before_any_data_is_read(override, named, tmp_path):
    with pytest.raises(UserError) as refused:
        make("dataset=mnist", "data_dir=nowhere", *override.split(), folder=tmp_path)
    assert named in str(refused.value)
    assert "nowhere" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "run" / "metrics.csv").exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "torch.load",
        "torch.hub.load",
        "torch.optim.os.system",
        "reslab.runs.store.shutil.rmtree",
        "reslab.data.module.hashlib.sha256",
        "reslab.runs.store.json.loads",
        "lightning.pytorch.Trainer.os.system",
    ],
)
@pytest.mark.parametrize("field", ["model", "optimizer.schedule", "dataset.source", "augment.x"])
def test_targets_outside_the_allow_list_are_refused_and_not_called(target, field):
    cfg = compose([f"+{field}._target_={target}" if field == "augment.x" else "seed=0"])
    OmegaConf.update(cfg, f"{field}._target_", target, force_add=True)
    with pytest.raises(UserError, match="_target_"):
        instantiate(cfg, field.partition(".")[0])


def test_a_trusted_package_s_targets_are_allowed(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Tiny(nn.Sequential):\n"
        "    def __init__(self, in_channels, num_classes, **rest):\n"
        "        super().__init__(nn.Flatten(), nn.LazyLinear(num_classes))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    cfg = compose(["model=baseline_cnn", "model._target_=mine.Tiny"])
    with pytest.raises(UserError, match="RESLAB_TARGETS"):
        instantiate(cfg, "model")
    monkeypatch.setenv("RESLAB_TARGETS", "mine")
    assert type(instantiate(cfg, "model")).__name__ == "Tiny"


@pytest.mark.parametrize(("command", "limit"), [("", 0.5), ("train", 3.0)])
def test_help_answers_at_once(command, limit):
    asked = [sys.executable, "-m", "reslab", *command.split(), "--help"]
    assert children_take_less(limit, lambda: subprocess.run(asked, capture_output=True, check=True))


def test_every_model_takes_channels_and_classes_from_the_dataset():
    for model in list_options("model"):
        cfg = compose([f"model={model}"])
        for channels, num_classes in IMAGES.values():
            cfg.dataset.channels, cfg.dataset.num_classes = channels, num_classes
            assert (cfg.model.in_channels, cfg.model.num_classes) == (channels, num_classes)


def test_what_was_composed_once_is_composed_anew_where_anything_else_is_there(
    tmp_path, monkeypatch
):
    """It is kept, for Hydra takes long; whoever gets it may change it."""
    folder = tmp_path / "conf"
    shutil.copytree(CONF_DIR, folder)
    monkeypatch.setattr(places, "CONF_DIR", folder)
    asked = ["model=${oc.env:RESLAB_TEST_MODEL}"]
    monkeypatch.setenv("RESLAB_TEST_MODEL", "mini_resnet")
    compose(asked).model.name = "mine"
    assert compose(asked).model.name == "mini_resnet"
    assert OmegaConf.is_struct(compose(asked))
    monkeypatch.setenv("RESLAB_TEST_MODEL", "baseline_cnn")
    assert compose(asked).model.name == "baseline_cnn"
    file = folder / "model/baseline_cnn.yaml"
    before, text = file.stat(), file.read_text()
    file.write_text(text.replace("name: baseline_cnn", "name: caselinebnn"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compose(asked).model.name == "caselinebnn", "of the same size and time"
    own = tmp_path / "own"
    for lr in (0.25, 0.5):
        (own / "optimizer").mkdir(parents=True, exist_ok=True)
        (own / "optimizer/mine.yaml").write_text(f"defaults: [adam]\nlr: {lr}\n")
        with folder_added(own):
            assert compose(["optimizer=mine"]).optimizer.lr == lr
    with pytest.raises(UserError, match="mine"):
        compose(["optimizer=mine"])
