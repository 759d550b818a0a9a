"""Lightning's trainer: every option of it does what it says, or is refused by its name."""

import copy
from inspect import signature

import pytest
import torch
from lightning.pytorch import Trainer
from omegaconf import OmegaConf

from reslab.callbacks import ShowProgress, StopRequest
from reslab.config import compose
from reslab.errors import UserError
from reslab.optim import CLIP
from reslab.runs import options as module
from reslab.runs.build import build
from reslab.runs.check import check
from reslab.runs.store import RunDirectory
from training import SMALL

OPTIONS = signature(Trainer).parameters


@pytest.fixture(scope="module")
def checked():
    """Makes a configuration with options of the trainer, and checks it."""
    plain = compose([*SMALL, "trainer=cpu"])

    def make(**options):
        cfg = copy.deepcopy(plain)
        for name, value in options.items():
            OmegaConf.update(cfg, f"trainer.{name}", value, merge=False, force_add=True)
        check(cfg)
        return cfg

    return make


def test_somebody_has_decided_on_every_option():
    """A new one of a later Lightning belongs into one of the two, with a test of what it does."""
    assert not set(module.REFUSED) & set(module.HONORED)
    assert set(module.REFUSED) | set(module.HONORED) == set(OPTIONS)
    assert set(SEEN) | OF_SEVERAL == set(module.HONORED)
    assert module.CHOICES["gradient_clip_algorithm"] == (None, *CLIP)


@pytest.mark.parametrize("name", module.REFUSED)
def test_an_option_that_would_do_nothing_or_harm_is_refused_by_name(name, checked):
    for value in (7, 0.5, "x", True, False, [{"a": 1}]):
        with pytest.raises(UserError, match=rf"^trainer\.{name} is not supported: [^\n]+$"):
            checked(**{name: value})
    checked(**{name: None})


def clips(run):
    return run.task._clip is torch.nn.utils.clip_grad_value_ and "value"


def shows_progress(run):
    return next(one.bar for one in run.trainer.callbacks if isinstance(one, ShowProgress))


def is_deterministic(run):
    return torch.is_deterministic_algorithms_warn_only_enabled() and "warn"


# What an option that is honored is given, and where it is seen.
SEEN = {
    "accelerator": ("cpu", lambda run: run.trainer.strategy.root_device.type),
    "benchmark": (True, lambda run: torch.backends.cudnn.benchmark),
    "detect_anomaly": (True, lambda run: run.trainer._detect_anomaly),
    "deterministic": ("warn", is_deterministic),
    "devices": (1, lambda run: run.trainer.num_devices),
    "enable_progress_bar": (False, shows_progress),
    "gradient_clip_algorithm": ("value", clips),
    "gradient_clip_val": (0.5, lambda run: run.task.gradient_clip_val),
    "inference_mode": (False, lambda run: run.trainer.predict_loop.inference_mode),
    "limit_train_batches": (3, lambda run: run.trainer.limit_train_batches),
    "limit_val_batches": (2, lambda run: run.trainer.limit_val_batches),
    "max_epochs": (7, lambda run: run.trainer.max_epochs),
    "precision": ("bf16-mixed", lambda run: run.trainer.precision),
}
# What only several devices have; see `test_ddp`.
OF_SEVERAL = {"strategy", "sync_batchnorm"}


@pytest.mark.parametrize("name", SEEN)
def test_an_option_that_is_honored_arrives(name, checked, tmp_path):
    value, seen = SEEN[name]
    besides = {"benchmark": {"deterministic": True}}.get(name, {"precision": "32-true"})
    cfg = checked(**besides | {name: value})
    try:
        assert seen(build(cfg, RunDirectory(tmp_path), StopRequest())) == value
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = False


@pytest.mark.parametrize("name", module.CHOICES)
@pytest.mark.parametrize("value", ["maybe", 7, 0, [True]])
def test_a_value_that_an_option_does_not_know_is_refused_by_name(value, name, checked):
    with pytest.raises(UserError, match=rf"^trainer\.{name} must be one of .*, got "):
        checked(**{name: value})


@pytest.mark.parametrize("value", [0, -1, 0.5, 1.0, True, "many"])
@pytest.mark.parametrize("stage", ["train", "val"])
def test_batches_are_counted_and_there_is_at_least_one(stage, value, checked):
    """1.0 is all of them in Lightning and 1 is one, which one identity could not tell apart."""
    name = f"limit_{stage}_batches"
    with pytest.raises(UserError, match=rf"^trainer\.{name} must be a whole number at least 1, "):
        checked(**{name: value})


@pytest.mark.parametrize("accelerator", ["auto", "cpu", "gpu"])
@pytest.mark.parametrize(
    "devices", [2, "2", -1, "-1", [0, 1], "0,1", "0, 1", 0, [], "", True, None, 1.5]
)
def test_more_or_less_than_one_device_is_refused_by_name(devices, accelerator, checked):
    with pytest.raises(UserError, match=r"^trainer\.devices=.* is not supported: .* one device"):
        checked(devices=devices, accelerator=accelerator)


def test_all_devices_are_refused_where_they_are_several(checked, monkeypatch):
    checked(devices="auto", accelerator="auto")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    checked(devices="auto", accelerator="cpu")
    for accelerator in ("auto", "gpu", "cuda"):
        with pytest.raises(UserError, match=r"^trainer\.devices=auto is not supported"):
            checked(devices="auto", accelerator=accelerator)


def test_lightning_s_environment_variables_change_nothing_behind_a_configuration(
    checked, monkeypatch
):
    monkeypatch.setenv("PL_TRAINER_LIMIT_TRAIN_BATCHES", "1")
    with pytest.raises(UserError, match=r"^\$PL_TRAINER_LIMIT_TRAIN_BATCHES .*unset"):
        checked()


def test_a_precision_that_lightning_would_replace_is_refused(checked, tmp_path):
    cfg = checked(precision="16-mixed")
    with pytest.raises(UserError, match=r"^trainer\.precision=16-mixed .* cpu"):
        build(cfg, RunDirectory(tmp_path), StopRequest())


def test_gradients_that_are_scaled_are_not_clipped(checked):
    checked(precision="16-mixed", gradient_clip_val=0)
    with pytest.raises(UserError, match=r"^trainer\.gradient_clip_val: .*16-mixed"):
        checked(precision="16-mixed", gradient_clip_val=1)
