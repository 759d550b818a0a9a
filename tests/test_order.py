"""The order of names in a configuration is part of the identity where it can change a result."""

import re
from inspect import Parameter, signature
from itertools import permutations

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from reslab.config import CONF_DIR, compose
from reslab.runs.identity import differing_keys, hashed_config, identity, select

STEPS = {
    "crop": {"_target_": "reslab.data.RandomCrop", "padding": 4, "mode": "constant"},
    "flip": {"_target_": "reslab.data.HorizontalFlip", "probability": 0.5},
    "brightness": {"_target_": "reslab.data.BrightnessJitter", "delta": 0.1},
    "cutout": {"_target_": "reslab.data.Cutout", "size": 16, "fill": 0.5},
    "again": {"_target_": "reslab.data.HorizontalFlip", "probability": 0.5},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "number"),
    [("reslab.data.Augment", 3), ("reslab.data.augment.Augment", 2), ("mine.Any", 2)],
)
def test_steps_in_another_order_are_another_run(target, number):
    cfg, found = compose([]), []
    orders = list(permutations(STEPS, number))
    for names in orders:
        cfg.augment = {"_target_": target} | {name: STEPS[name] for name in names}
        found.append(identity(cfg))
        saved = OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))
        assert identity(saved) == found[-1]
    assert len(set(found)) == len(orders)


def test_a_preset_made_by_hand_is_the_preset_only_in_its_order():
    crop = "augment.crop={_target_:reslab.data.RandomCrop,padding:4,mode:constant}"
    flip = "augment.flip={_target_:reslab.data.HorizontalFlip,probability:0.5}"
    preset = compose(["augment=crop_flip"])
    assert identity(compose([f"+{crop}", f"+{flip}"])) == identity(preset)
    reverse = compose(["augment=flip", f"+{crop}"])
    assert identity(reverse) != identity(preset)
    keys = differing_keys(hashed_config(reverse), hashed_config(preset))
    assert keys == ["dataset.augment._order_"]
    assert select(hashed_config(reverse), keys[0]) == ["flip", "crop"]


@pytest.mark.parametrize(
    "mapping", [{"a": 1, "b": 2}, {"_a": {}, "_b": {}}, {"x": {"a": 1, "b": {"c": 1, "d": 2}}}]
)
@pytest.mark.parametrize("where", ["", "layers.", "layers.0.", "library.mine."])
def test_the_order_of_what_users_own_classes_are_given_is_identity(where, mapping):
    """Of their arguments, which they may take by `**`, and of mappings in these."""

    def reverse(value):
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in reversed(value)}
        return value

    found = set()
    for order in (mapping, reverse(mapping)):
        node = {"_target_": "mine.Network", **order}
        for part in reversed(where.split(".")[:-1]):
            target = {"library": "torch.nn.Flatten"}.get(part, "mine.Network")
            plain = part == "layers" and isinstance(node, dict)
            inner = {k: v for k, v in node.items() if k != "_target_"} if plain else node
            node = [inner] if part == "0" else {"_target_": target, part: inner}
        cfg = compose([])
        OmegaConf.update(cfg, "model", node, merge=False)
        found.add(identity(cfg))
    assert len(found) == 2


def test_the_order_of_arguments_that_are_taken_by_name_is_not_identity():
    cfg = compose(["optimizer=sgd_cosine"])
    before = identity(cfg)
    for group in ("model", "optimizer", "optimizer.optimizer", "dataset", "dataset.source"):
        node = OmegaConf.to_container(OmegaConf.select(cfg, group))
        turned = {key: node[key] for key in reversed(node)}
        OmegaConf.update(cfg, group, turned, merge=False)
    assert list(cfg.optimizer)[-1] == "_target_"
    assert identity(cfg) == before


def test_only_augment_takes_what_it_is_given_by_any_name():
    found = set()
    for path in CONF_DIR.rglob("*.yaml"):
        for target in re.findall(r"_target_: (\S+)", path.read_text()):
            parameters = signature(get_object(target)).parameters.values()
            if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
                found.add(target)
    assert found == {"reslab.data.Augment"}
