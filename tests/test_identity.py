import json
import re

import pytest
from omegaconf import OmegaConf

from processes import run
from reslab.config import compose
from reslab.runs.identity import (
    as_read,
    canonical,
    differing_keys,
    hashed_config,
    identity,
    run_name,
)


@pytest.mark.parametrize(
    "override",
    [
        "data_dir=/elsewhere",
        "runs_dir=elsewhere",
        "logger=none",
        "trainer.enable_progress_bar=false",
        "checkpoint_every=1",
        "resume=must",
        "rerun=true",
        "keep_state=true",
        "optimizer.lr=0.0010",
        "label_smoothing=0",
        "class_weights=null",
        "ema=null",
        "lookahead=null",
        "dataset.small_size=null",
        "trainer.max_epochs=10",
        "trainer=gpu",
        "trainer.accelerator=cuda",
    ],
)
def test_what_cannot_change_a_result_is_not_identity(override):
    assert run_name(compose([override])) == run_name(compose([]))


@pytest.mark.parametrize(
    "override",
    [
        "seed=1",
        "dataset=mnist",
        "augment=flip",
        "join=none",
        "model.dropout=0.1",
        "optimizer.lr=0.01",
        "trainer=exact",
        "trainer=cpu",
        "trainer.accelerator=cuda:1",
        "trainer.max_epochs=11",
        "+trainer.limit_train_batches=3",
        "label_smoothing=0.1",
        "class_weights=balanced",
        "ema=0.99",
        "lookahead=5",
        "dataset.small_size=4",
        "monitor=val/loss",
        "patience=3",
        "init_from=other",
        "extend_from=other",
        "dataset.split_seed=1",
    ],
)
def test_what_can_change_a_result_is_identity(override):
    assert identity(compose([override])) != identity(compose([]))


def test_a_later_option_that_is_null_leaves_identities_as_they_are():
    cfg = compose([])
    before = identity(cfg)
    OmegaConf.update(cfg, "model.new_option", None, force_add=True)
    OmegaConf.update(cfg, "new_group", None, force_add=True)
    assert identity(cfg) == before
    OmegaConf.update(cfg, "model.new_option", 1, force_add=True)
    assert identity(cfg) != before


def test_whole_numbers_are_floats_and_booleans_are_not():
    assert identity(compose(["patience=3"])) == identity(compose(["patience=3.0"]))
    hashed = hashed_config(compose([]))
    assert hashed["trainer"]["deterministic"] is False
    json.dumps(hashed)


SHIPPED = {
    "augment=crop_flip": "039eafc8",
    "augment=cutmix": "97fddb37",
    "augment=cutout": "208de297",
    "augment=flip": "46570797",
    "augment=flip_brightness": "20e601a0",
    "augment=mixup": "9ead2935",
    "augment=none": "76454397",
    "recipe=bhise_karale": "e8a99a9d",
    "recipe=he2016/plain110": "0e540e17",
    "recipe=he2016/plain20": "d75f3d9b",
    "recipe=he2016/plain32": "25ec89dc",
    "recipe=he2016/plain44": "af36102b",
    "recipe=he2016/plain56": "29ea45e6",
    "recipe=he2016/resnet110": "dbd8e566",
    "recipe=he2016/resnet20": "dcfa48ff",
    "recipe=he2016/resnet32": "5081f88e",
    "recipe=he2016/resnet44": "5a1f9b42",
    "recipe=he2016/resnet56": "1e52a184",
    "recipe=liu_goh/baseline_cnn": "dd2474a0",
    "recipe=liu_goh/mini_resnet": "74a0a5be",
    "recipe=liu_goh/no_skip": "f63c2eaf",
    "recipe=liu_goh/resnet18": "0cdbbebf",
    "recipe=resnet3": "1b12d6fe",
    "recipe=speed/constant_rate": "a581996f",
    "recipe=speed/cpu_10_minutes": "2a8adde7",
    "recipe=speed/cpu_no_whitening": "adf97f20",
    "recipe=speed/no_average": "790e1426",
    "recipe=speed/no_lookahead": "496d210d",
    "recipe=speed/no_small_images": "d218aad2",
    "recipe=speed/no_smoothing": "8407fc4e",
    "recipe=speed/resnet18_94": "693b5c89",
    "recipe=speed/with_whitening": "4c98b406",
    "recipe=system/cifar10": "5349d554",
    "recipe=system/mnist": "417c8fd2",
    "recipe=virakden": "efcd79c8",
    "": "76454397",
}


@pytest.mark.parametrize("shipped", SHIPPED)
def test_what_is_shipped_stays_the_run_that_it_was(shipped):
    assert identity(compose(shipped.split())) == SHIPPED[shipped]


def test_presets_that_resolve_to_one_configuration_are_one_run():
    one = compose(["recipe=liu_goh/baseline_cnn", "ablation=no_skip"])
    assert run_name(one) == run_name(compose(["recipe=liu_goh/baseline_cnn"]))


def test_a_partial_configuration_has_a_name():
    assert run_name(OmegaConf.create({})).startswith("partial-")


def test_hydra_can_be_asked_for_its_configuration(tmp_path):
    finished = run(tmp_path, "train", "--cfg", "hydra")
    assert finished.code == 0, finished.err
    assert "run_name" in finished.out


def test_the_name_says_what_the_run_is():
    name = run_name(compose(["recipe=liu_goh/no_skip", "seed=7"]))
    assert re.fullmatch(r"cifar10-resnet18-nojoin-s7-[0-9a-f]{8}", name)


def test_differing_keys_are_dotted_and_complete():
    ours = hashed_config(compose(["optimizer.lr=0.5", "patience=3"]))
    theirs = hashed_config(compose([]))
    assert differing_keys(ours, theirs) == ["optimizer.lr", "patience"]


def test_what_was_hashed_is_read_as_it_was_written():
    written = {"blocks": [2, [1, 0.5]], "lr": 1e-4, "many": 123456789, "on": True, "end": "x"}
    assert repr(as_read(canonical(written))) == repr(written)
    assert repr(as_read([float("inf"), None])) == "[inf, None]"
