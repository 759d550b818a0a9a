import subprocess
import sys
import time
from itertools import product

import pytest
import yaml
from hydra.utils import get_class
from omegaconf import OmegaConf

from reslab.callbacks import StopRequest
from reslab.config import CONF_DIR, compose, instantiate, list_options
from reslab.errors import UserError
from reslab.nn import AddJoin, NoJoin
from reslab.nn.blocks import BasicBlock
from reslab.nn.summary import count_parameters
from reslab.runs.build import build, build_task
from reslab.runs.request import check
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


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_ablation_builds_what_it_names_and_leaves_the_rest_of_the_recipe(recipe, dataset):
    alone = compose([f"recipe={recipe}", f"dataset={dataset}"])
    for ablation in ABLATIONS:
        cfg = compose([f"recipe={recipe}", f"ablation={ablation}", f"dataset={dataset}"])
        network = build_task(cfg).network
        blocks = [module for module in network.modules() if isinstance(module, BasicBlock)]
        joins = {type(block.join) for block in blocks}
        if ablation == "baseline_cnn":
            assert not blocks
        elif ablation == "no_skip":
            assert joins <= {NoJoin}
            assert bool(blocks) == ("join" in alone.model)
        elif ablation == "skip":
            assert joins <= {AddJoin}
            assert bool(blocks) == ("join" in alone.model)
        else:
            assert ablation == "mini_resnet", "say here what the new ablation must build"
            assert len(blocks) == 8
            assert joins == {get_class(alone.join._target_)}
        channels = {"digits": 1, "mnist": 1, "cifar10": 3}[dataset]
        assert next(network.parameters()).shape[1] == channels
        assert count_parameters(network) == expected_parameters(alone, ablation, channels)
        for key in alone:
            if key not in ("model", "join"):
                assert cfg[key] == alone[key], key


def expected_parameters(recipe_cfg, ablation, channels):
    """From the counts that the papers print, for three channels."""
    without = ablation == "no_skip" or (
        ablation != "skip" and recipe_cfg.join._target_.endswith("NoJoin")
    )
    name = recipe_cfg.model.name
    strided = list(recipe_cfg.model.get("strides", [])) == [2, 2, 2, 2]
    if ablation in ("baseline_cnn", "mini_resnet"):
        name, strided = ablation, True
    total, stem, projections = {
        ("baseline_cnn", True): (391_946, 32, 0),
        ("baseline_cnn", False): (391_946, 32, 0),
        ("mini_resnet", True): (2_798_698, 32, 44_992),
        ("resnet18", True): (11_178_186, 64, 178_048),
        ("resnet18", False): (11_173_962, 64, 178_048 - 64 * 64 - 128),
    }[name, strided]
    return total - 9 * stem * (3 - channels) - (projections if without else 0)


def test_pairs_that_are_one_request_are_one_configuration():
    assert compose(["recipe=liu_goh/resnet18", "ablation=no_skip"]) == compose(
        ["recipe=liu_goh/no_skip"]
    )
    assert compose(["recipe=liu_goh/no_skip", "ablation=skip"]) == compose(
        ["recipe=liu_goh/resnet18"]
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_group_chosen_on_the_command_line_beats_the_recipe(recipe):
    for group in ("dataset", "augment", "model", "optimizer"):
        for option in list_options(group):
            chosen = OmegaConf.to_container(compose([f"{group}={option}"])[group])
            cfg = OmegaConf.to_container(compose([f"recipe={recipe}", f"{group}={option}"])[group])
            targets = cfg["_target_"], cfg.get("source"), cfg.get("strides"), cfg.get("schedule")
            assert targets == (
                chosen["_target_"],
                chosen.get("source"),
                chosen.get("strides"),
                chosen.get("schedule"),
            )


def test_recipes_set_only_keys_that_every_member_of_a_group_has():
    for path in (CONF_DIR / "recipe").rglob("*.yaml"):
        for group, values in yaml.safe_load(path.read_text()).items():
            if isinstance(values, dict):
                for option in list_options(group):
                    assert set(values) <= set(compose([f"{group}={option}"])[group]), (path, option)


def test_liu_goh_s_recipe_is_the_paper_s():
    cfg = compose(["recipe=liu_goh/resnet18"])
    assert (cfg.dataset.name, cfg.dataset.batch_size) == ("cifar10", 64)
    assert (cfg.dataset.mean, cfg.dataset.std) == (0.5, 0.5)
    assert (cfg.augment.flip.probability, cfg.augment.brightness.delta) == (0.5, 0.1)
    assert (cfg.optimizer.lr, cfg.optimizer.schedule.factor) == (1e-3, 0.2)
    assert (cfg.trainer.max_epochs, cfg.patience, cfg.monitor) == (30, 7, "val/loss")
    assert (cfg.model.dropout, list(cfg.model.strides)) == (0.5, [2, 2, 2, 2])


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
        ("+model.dropuot=1", "dropout"),
    ],
)
def test_a_wrong_value_is_refused_by_name_before_any_data_is_read(override, named, tmp_path):
    with pytest.raises(UserError) as refused:
        make(*override.split(), folder=tmp_path)
    assert named in str(refused.value)
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


def fastest(*arguments: str) -> float:
    """Seconds of the fastest of five processes."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


@pytest.mark.parametrize(
    ("arguments", "library", "factor"),
    [(["--help"], "click", 4), (["train", "--help"], "hydra", 10)],
)
def test_help_waits_for_little_more_than_its_library(arguments, library, factor):
    """Ratios in one run, since machines differ: 0.04 s and 0.5 s where this was written."""
    assert fastest("-m", "reslab.cli", *arguments) < factor * fastest("-c", f"import {library}")


def test_every_pair_of_dataset_and_model_is_interpolated():
    for dataset, model in product(DATASETS, list_options("model")):
        cfg = compose([f"dataset={dataset}", f"model={model}"])
        assert cfg.model.in_channels == cfg.dataset.channels
        assert cfg.model.num_classes == cfg.dataset.num_classes
