"""What a constructor refuses is named by the path that the user types."""

import pytest
import torch
from omegaconf import OmegaConf

from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.ranges import IMAGE_DATA, OPTIONAL_IMAGE_DATA
from reslab.runs.build import build_task, prepare_data
from reslab.runs.check import check


@pytest.fixture(autouse=True)
def _distributions_check_their_arguments():
    """As in a process of its own: torch.compile, which other tests use, switches that off."""
    torch.distributions.Distribution.set_default_validate_args(True)


CROP = "augment=crop_flip"
LINEAR = "optimizer=adam_warmup_linear"
MODEL = "model=baseline_cnn"  # which is made at once


def build_all(cfg) -> None:
    data = instantiate(cfg, "dataset")
    build_task(cfg)
    prepare_data(data)


def refused(cfg) -> str:
    """The one line that comes of building all of a configuration."""
    with pytest.raises(UserError) as error:
        build_all(cfg)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("+dataset.sise=3", "dataset has no option sise; did you mean size?"),
        ("dataset.batch_size=0", "dataset.batch_size must be a whole number at least 1, got 0"),
        ("~dataset.name", "dataset lacks 'name'"),
        ("dataset=mnist ~dataset.source.files", "dataset.source lacks 'files'"),
        ("dataset=mnist +dataset.source.dataset.x=1", "dataset.source.dataset has no option x"),
        (f"{CROP} +augment.crop.pad=2", "augment.crop has no option pad; did you mean padding?"),
        (
            f"{CROP} augment.crop.padding=0",
            "augment.crop.padding must be a whole number at least 1, got 0",
        ),
        (f"{CROP} augment.crop.mode=x", "augment.crop.mode must be one of constant, reflect"),
        (f"{CROP} +augment.flop=3", "augment.flop is no augmentation with draw and apply: 3"),
        ("augment=mixup +augment.mix.alfa=1", "augment.mix has no option alfa; did you mean"),
        ("augment=mixup augment.mix.alpha=-1", "augment.mix: Expected parameter concentration"),
        (f"{CROP} augment.crop._target_=os.system", "augment.crop._target_=os.system is not"),
        (
            f"{CROP} augment.crop._target_=reslab.data.Crop",
            "augment.crop._target_=reslab.data.Crop:",
        ),
        (f"{CROP} augment.crop.padding=two", "augment.crop.padding must be a whole number at "),
        (f"{CROP} augment.flip.probability=true", "augment.flip.probability must be a number from"),
        ("dataset.seed=-1", "dataset.seed must be a whole number at least 0, got -1"),
        ("optimizer.lr=fast", "optimizer.lr must be a number above 0, got fast"),
        ("optimizer.lr=0", "optimizer.lr must be a number above 0, got 0"),
        ("optimizer.weight_decay=null", "optimizer.weight_decay must be a number at least 0"),
        ("model=mini_resnet +join.foo=1", "join has no option foo"),
        ("model=mini_resnet join=pad model.widths=[4,3,2,1]", "join: a join that pads cannot"),
        ("model=mini_resnet model.widths=[4]", "model.widths, blocks and strides must have"),
        ("model.dropout=2", "model.dropout must be a number from 0 to below 1"),
        ("+model.dropuot=1", "model has no option dropuot; did you mean dropout?"),
        ("optimizer.lr=-1", "optimizer.lr must be a number above 0, got -1"),
        ("+optimizer.optimizer.ep=1", "optimizer.optimizer has no option ep; did you mean eps"),
        ("+optimizer.optimizer.betas=[2,3]", "optimizer.optimizer: Invalid beta parameter"),
        (
            "optimizer=adam_plateau optimizer.schedule.factor=2",
            "optimizer.schedule: Factor should be < 1.0.",
        ),
        (
            "optimizer=sgd_cosine ~optimizer.schedule.T_max",
            "optimizer.schedule lacks 'T_max'",
        ),
        (f"{LINEAR} +optimizer.schedule.x=1", "optimizer.schedule has no option x; choose from mi"),
        (
            f"{LINEAR} optimizer.schedule.schedules.1.start_factor=3",
            "optimizer.schedule.schedules.1: Starting multiplicative factor",
        ),
        (
            f"{LINEAR} +optimizer.schedule.schedules.1.factor=3",
            "optimizer.schedule.schedules.1 has no option factor; did you mean end_factor or s",
        ),
    ],
)
def test_the_path_is_that_of_what_refused_as_the_user_types_it(overrides, line, tmp_path):
    cfg = compose([MODEL, *overrides.split(), f"data_dir={tmp_path}"])
    assert refused(cfg).startswith(line)


@pytest.mark.parametrize("name", IMAGE_DATA)
def test_a_request_and_the_constructor_say_the_same_of_a_number(name):
    none = () if name in OPTIONAL_IMAGE_DATA else (None,)
    for value in (-1, 1.5, True, "x", *none):
        cfg = compose([])
        OmegaConf.update(cfg, f"dataset.{name}", value)
        lines = set()
        for refuse in (check, build_all):
            with pytest.raises(
                UserError, match=rf"^dataset\.{name} must be a whole number "
            ) as one:
                refuse(cfg)
            lines.add(str(one.value))
        assert len(lines) == 1


def test_in_a_run_s_own_configuration_it_is_the_path_there():
    cfg = compose([CROP, "augment.crop.padding=0"])
    saved = OmegaConf.create(OmegaConf.to_yaml(cfg, resolve=True))
    assert refused(saved) == "dataset.augment.crop.padding must be a whole number at least 1, got 0"


def test_lists_in_lists_and_one_s_own_groups_are_found(tmp_path, monkeypatch):
    """And an option that something within a constructor lacks is not taken for one of the user's."""
    (tmp_path / "refusing.py").write_text(
        "from torch import nn\n"
        "class Part:\n"
        "    def __init__(self, width=1):\n"
        "        if width < 1:\n"
        "            raise ValueError('width must be at least 1')\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, parts=(), later=None):\n"
        "        later() if later else nn.Linear(2, 2, biass=True)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RESLAB_TARGETS", "refusing")
    good, bad, worse = ({"_target_": "refusing.Part", **x} for x in ({}, {"width": 0}, {"wide": 0}))
    for parts, path in [([[good, bad]], "parts.0.1"), ({"a": [{"b1": bad}]}, "parts.a.0.b1")]:
        model = {"_target_": "refusing.Net", "parts": parts}
        assert built(model=model) == f"model.{path}.width must be at least 1"
    later = {**worse, "_partial_": True}
    taken = {"model": {"_target_": "refusing.Net", "later": "${part}"}, "part": later}
    assert built(**taken) == "part has no option wide; did you mean width?"
    assert built(model={"_target_": "refusing.Net"}).startswith(
        "model: Linear.__init__() got an un"
    )


def built(**config) -> str:
    with pytest.raises(UserError) as error:
        instantiate(OmegaConf.create(config), "model")
    return str(error.value)
