"""What the papers say, typed once more from them, against recipes and tables."""

import pytest
from omegaconf import OmegaConf

from reslab.config import CONF_DIR, compose, instantiate, list_options
from reslab.runs.identity import differing_keys, hashed_config
from reslab.tables.plan import load_table

MOMENTUM = {"momentum": 0.9}
CROP_FLIP = {"crop": {"padding": 4, "mode": "constant"}, "flip": {"probability": 0.5}}
USUAL_STD = [0.2023, 0.1994, 0.2010]
LIU_GOH = {
    "data": ("cifar10", 32, 64, 0.5, 0.5),
    "augment": {"flip": {"probability": 0.5}, "brightness": {"delta": 0.1}},
    "optimizer": ("Adam", 1e-3, 0, {}),
    "schedule": "ReduceLROnPlateau",
    "length": (30, None),
    "rest": ("val/loss", 7, 0.0, 0.5),
}
HE2016 = {
    "data": ("cifar10", 32, 128, None, None),
    "augment": CROP_FLIP,
    "optimizer": ("SGD", 0.1, 1e-4, MOMENTUM),
    "schedule": "MultiStepLR",
    "length": (-1, 64_000),
    "rest": ("val/accuracy", None, 0.0, 0.0),
}
# What is ours: docs/speed-recipe.md.
SPEED = {
    "data": ("cifar10", 32, 512, None, None),
    "augment": {"crop": {"padding": 2, "mode": "reflect"}, "flip": {"probability": 0.5}},
    "optimizer": ("SGD", 0.4, 5e-4, MOMENTUM | {"nesterov": True}),
    "schedule": "OneCycleLR",
    "length": (-1, 16 * (45_000 // 512)),
    "rest": ("val/accuracy", None, 0.1, 0.0),
}

# Data set, size, batch, mean, std; augmentation; optimizer, rate, decay; schedule; epochs, steps;
# monitor, patience, label smoothing, dropout.
RECIPES = {
    "system/mnist": {
        "data": ("mnist", 28, 64, None, None),
        "augment": {},
        "optimizer": ("Adam", 1e-3, 0, {}),
        "schedule": None,
        "length": (10, None),
        "rest": ("val/accuracy", None, 0.0, 0.0),
    },
    "system/cifar10": {
        "data": ("cifar10", 32, 128, None, None),
        "augment": CROP_FLIP,
        "optimizer": ("SGD", 0.1, 5e-4, MOMENTUM),
        "schedule": "CosineAnnealingLR",
        "length": (50, None),
        "rest": ("val/accuracy", None, 0.0, 0.0),
    },
    "virakden": {
        "data": ("mnist", 32, 64, None, None),
        "augment": {"flip": {"probability": 0.5}},
        "optimizer": ("SGD", 0.01, 1e-4, MOMENTUM),
        "schedule": None,
        "length": (10, None),
        "rest": ("val/accuracy", None, 0.0, 0.0),
    },
    "bhise_karale": {
        "data": ("cifar10", 32, 128, [0.4914, 0.4822, 0.4465], USUAL_STD),
        "augment": CROP_FLIP,
        "optimizer": ("Adam", 1e-3, 1e-4, {}),
        "schedule": "InTurn",
        "length": (80, None),
        "rest": ("val/accuracy", None, 0.1, 0.0),
    },
    "resnet3": {
        "data": ("cifar10", 32, 128, None, None),
        "augment": CROP_FLIP,
        "optimizer": ("SGD", 0.1, 1e-4, MOMENTUM),
        "schedule": "CosineAnnealingLR",
        "length": (50, None),
        "rest": ("val/accuracy", None, 0.0, 0.0),
    },
    **{
        f"liu_goh/{name}": LIU_GOH
        for name in ("baseline_cnn", "mini_resnet", "resnet18", "no_skip")
    },
    **{
        f"liu_goh/readings/{name}": LIU_GOH
        for name in ("mini_resnet_stride1", "resnet18_stride1", "no_skip_stride1")
    },
    **{
        f"liu_goh/readings/{name}_keras": LIU_GOH | {"optimizer": ("Adam", 1e-3, 0, {"eps": 1e-7})}
        for name in ("mini_resnet", "mini_resnet_stride1")
    },
    **{f"he2016/{kind}{n}": HE2016 for kind in ("plain", "resnet") for n in (20, 32, 44, 56)},
    **{f"he2016/{kind}110": HE2016 | {"schedule": "InTurn"} for kind in ("plain", "resnet")},
    **{
        f"speed/{name}": SPEED
        for name in (
            *("resnet18_94", "no_average", "no_lookahead", "no_small_images"),
            "with_whitening",
        )
    },
    "speed/no_smoothing": SPEED | {"rest": ("val/accuracy", None, 0.0, 0.0)},
    "speed/constant_rate": SPEED | {"schedule": None},
    **{
        f"speed/{name}": SPEED
        | {
            "data": ("cifar10", 32, 128, None, None),
            "optimizer": ("SGD", 0.2, 5e-4, MOMENTUM | {"nesterov": True}),
            "length": (-1, 9 * (45_000 // 128)),
        }
        for name in ("cpu_10_minutes", "cpu_no_whitening")
    },
}


@pytest.mark.slow
def test_each_ablation_of_the_speed_recipe_changes_one_thing():
    whole = hashed_config(compose(["recipe=speed/resnet18_94"]))
    assert (whole["label_smoothing"], whole["ema"], whole["lookahead"]) == (0.1, 0.99, 5)
    assert (whole["dataset"]["small_size"], whole["dataset"]["small_epochs"]) == (24, 8)
    changed = {
        "no_smoothing": ["label_smoothing"],
        "no_average": ["ema"],
        "no_lookahead": ["lookahead"],
        "no_small_images": ["dataset.small_epochs", "dataset.small_size"],
        "constant_rate": ["optimizer.schedule"],
        "with_whitening": ["model.name", "model.stem"],
    }
    for name, keys in changed.items():
        assert differing_keys(whole, hashed_config(compose([f"recipe=speed/{name}"]))) == keys
    rows = load_table("speed").publication.rows
    assert [row.recipe for row in rows] == [f"speed/{n}" for n in ("resnet18_94", *changed)]
    one, other = (
        hashed_config(compose([f"recipe={row.recipe}"]))
        for row in load_table("speed_cpu").publication.rows
    )
    assert differing_keys(one, other) == ["model.name", "model.stem"]


def test_every_recipe_is_here():
    assert set(RECIPES) == set(list_options("recipe"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_the_paper_s(recipe):
    cfg, expected = compose([f"recipe={recipe}"]), RECIPES[recipe]
    data, augment = cfg.dataset, OmegaConf.to_container(cfg.augment)
    assert (data.name, data.size, data.batch_size, data.mean, data.std) == expected["data"]
    steps = {k: v for k, v in augment.items() if k != "_target_"}
    values = {k: {n: x for n, x in v.items() if n != "_target_"} for k, v in steps.items()}
    assert values == expected["augment"]
    made = cfg.optimizer.optimizer
    extra = {k: v for k, v in made.items() if k not in ("_target_", "_partial_", "fused")}
    optimizer = (made._target_.rpartition(".")[2], cfg.optimizer.lr, cfg.optimizer.weight_decay)
    assert (*optimizer, extra) == expected["optimizer"]
    schedule = cfg.optimizer.schedule
    assert (schedule and schedule._target_.rpartition(".")[2]) == expected["schedule"]
    assert (cfg.trainer.max_epochs, cfg.max_steps) == expected["length"]
    rest = (cfg.monitor, cfg.patience, cfg.label_smoothing, cfg.model.dropout)
    assert rest == expected["rest"]
    assert cfg.optimizer.decay_all is None
    instantiate(cfg, "optimizer")


# Rows of the tables: accuracy, parameters, minutes, accuracy on the training set.
PUBLISHED = {
    "liu_goh": {
        "Baseline CNN": (84.1, "392k", 2, None),
        "Mini-ResNet": (87.0, "2.8M", 7, None),
        "ResNet-18, skip": (89.9, "11.2M", 24, None),
        "ResNet-18, no skip": (86.0, "11.0M", 210, None),
    },
    "liu_goh_readings": {
        **dict.fromkeys(
            (
                *("Mini-ResNet, stride 2", "Mini-ResNet, stride 1"),
                *("Mini-ResNet, stride 2, Keras, peeking", "Mini-ResNet, stride 1, Keras, peeking"),
            ),
            (87.0, "2.8M", 7, None),
        ),
        **dict.fromkeys(
            ("ResNet-18, skip, stride 2", "ResNet-18, skip, stride 1"), (89.9, "11.2M", 24, None)
        ),
        **dict.fromkeys(
            ("ResNet-18, no skip, stride 2", "ResNet-18, no skip, stride 1"),
            (86.0, "11.0M", 210, None),
        ),
    },
    "system": {"MNIST": ([99.3, 99.5], None, None, None), "CIFAR-10": ([92, 94], None, None, None)},
    "virakden": {"ResNet-18": (98.21, "11,172,810", None, 97.06)},
    "bhise_karale": {"Compact ResNet": (94.16, "4,893,566", None, 98.56)},
    "resnet3": {"ResNet-20": (None, None, None, None)},
    "he2016": {
        **{f"Plain-{n}": (None, None, None, None) for n in (20, 32, 44, 56, 110)},
        "ResNet-20": (100 - 8.75, "0.27M", None, None),
        "ResNet-32": (100 - 7.51, "0.46M", None, None),
        "ResNet-44": (100 - 7.17, "0.66M", None, None),
        "ResNet-56": (100 - 6.97, "0.85M", None, None),
        "ResNet-110": (100 - 6.43, "1.7M", None, None),
    },
    "speed": dict.fromkeys(
        (
            *("The recipe", "No label smoothing", "No moving average", "No Lookahead"),
            *("No small images", "Constant rate", "Whitening too"),
        ),
        (None, None, None, None),
    ),
    "speed_cpu": dict.fromkeys(("ResNet-10", "No whitening"), (None, None, None, None)),
}


def test_bhise_and_karale_s_other_figures_are_beside_ours():
    (row,) = OmegaConf.load(CONF_DIR / "table/bhise_karale.yaml").rows
    others = {"val_accuracy": 94.3, "memory": "19.4 MB", "mebibytes": 18.67, "macs": "1.03 GFLOPs"}
    assert others.items() <= row.published.items()
    assert {"val_accuracy", "memory", "mebibytes", "macs"} <= set(
        load_table("bhise_karale").publication.columns
    )


def test_every_table_is_here():
    assert set(PUBLISHED) == set(list_options("table"))


@pytest.mark.parametrize("table", PUBLISHED)
def test_a_table_has_the_published_figures(table):
    rows = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "table" / f"{table}.yaml"))["rows"]
    assert [row["name"] for row in rows] == list(PUBLISHED[table])
    for row in rows:
        published = row.get("published", {})
        accuracy, *others = PUBLISHED[table][row["name"]]
        assert published.get("accuracy") == pytest.approx(accuracy)
        keys = ("parameters", "minutes", "train_accuracy")
        assert [published.get(key) for key in keys] == others
