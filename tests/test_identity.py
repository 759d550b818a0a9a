import json
import re

import pytest
from omegaconf import OmegaConf

from processes import run
from reslab.config import compose
from reslab.runs.identity import code_digest, differing_keys, hashed_config, identity, run_name


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
        "optimizer.lr=0.0010",
        "label_smoothing=0",
        "trainer.max_epochs=10",
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
        "trainer.max_epochs=11",
        "+trainer.limit_train_batches=3",
        "label_smoothing=0.1",
        "monitor=val/loss",
        "patience=3",
        "init_from=other",
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


def test_the_code_digest_is_of_the_code_that_can_change_a_result(tmp_path, monkeypatch):
    import shutil

    from reslab.runs import identity as module

    package = tmp_path / "reslab"
    shutil.copytree(module.Path(module.__file__).parents[1], package)
    monkeypatch.setattr(module, "__file__", str(package / "runs" / "identity.py"))
    assert code_digest() == code_digest()
    before = code_digest()
    (package / "cli.py").write_text("")
    assert code_digest() == before
    for name in ("nn/joins.py", "preprocess.py"):
        (package / name).write_text("")
        assert code_digest() != before
        before = code_digest()
