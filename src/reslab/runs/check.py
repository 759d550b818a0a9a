"""Whether a configuration can be meant: what no constructor refuses, or only after data is read."""

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from reslab.config import instantiate, suggest, top_level_keys
from reslab.errors import UserError
from reslab.files import visible
from reslab.ranges import IMAGE_DATA, OPTIONAL_IMAGE_DATA, check_number, check_whole
from reslab.runs.identity import LONGEST_NAME, is_file_name
from reslab.runs.options import check_trainer

if TYPE_CHECKING:
    from torch import nn

    from reslab.analysis.summary import Layer

MONITORS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")
GROUPS = ("dataset", "model", "optimizer", "trainer")
MADE = ("dataset.source", "dataset.augment", "logger")  # of which no constructor says that

# What a run's directory is called by.
NAMES = ("dataset.name", "model.name")

# What no constructor decides: key to the lowest and the highest value.
WHOLE = {
    "seed": (0, 2**32 - 1),
    "lookahead": (2, math.inf),
    "patience": (1, math.inf),
    "max_steps": (1, math.inf),
    "trainer.limit_train_batches": (1, math.inf),
    "trainer.limit_val_batches": (1, math.inf),
    "trainer.max_epochs": (1, math.inf),
} | {f"dataset.{name}": limits for name, limits in IMAGE_DATA.items()}
REAL = {
    "checkpoint_every": (0, math.inf),
    "ema": (0.5, 0.99999),
    "label_smoothing": (0, 0.999),
    "trainer.gradient_clip_val": (0, 1e9),
}
OPTIONAL = (
    *("patience", "max_steps", "ema", "lookahead", "trainer.gradient_clip_val"),
    *("trainer.limit_train_batches", "trainer.limit_val_batches"),
    *(f"dataset.{name}" for name in OPTIONAL_IMAGE_DATA),
)

UNLIMITED = -1  # what Lightning calls epochs without end


def check(cfg: DictConfig) -> None:
    """Refuses what cannot be meant, by its name, before a network is built.

    Raises:
        UserError: A value is of the wrong type or out of range.
    """
    check_values(cfg)
    instantiate(cfg, "optimizer")  # whose numbers are its own


def check_values(cfg: DictConfig) -> None:
    """The part of `check` that needs nothing built, and so no torch.

    Raises:
        UserError: As there.
    """
    for group in GROUPS:
        if not OmegaConf.is_dict(cfg[group]) or "_target_" not in cfg[group]:
            raise UserError(f"{group} must be one of its options, got {cfg[group]}")
    for key in MADE:
        node = OmegaConf.select(cfg, key)
        if OmegaConf.is_dict(node) and node and "_target_" not in node:
            raise UserError(f"{key} must be one of its options, got {node}")
    for key in NAMES:
        _check_name(cfg, key)
    _refuse_what_nobody_reads(cfg)
    for key, limits in WHOLE.items():
        _check_range(cfg, key, check_whole, limits)
    for key, bounds in REAL.items():
        _check_range(cfg, key, check_number, bounds)
    if cfg.monitor not in MONITORS:
        raise UserError(f"monitor={cfg.monitor}: not a metric{suggest(str(cfg.monitor), MONITORS)}")
    if cfg.class_weights is not None:
        from reslab.loss import CLASS_WEIGHTS

        if cfg.class_weights not in CLASS_WEIGHTS:
            names = ", ".join(CLASS_WEIGHTS)
            raise UserError(f"class_weights must be null or {names}, got {cfg.class_weights}")
    if cfg.resume not in ("auto", "must"):
        raise UserError(f"resume must be auto or must, got {cfg.resume}")
    if not isinstance(cfg.rerun, int) or cfg.rerun < 0:
        raise UserError(f"rerun must be true, false or a number of reruns, got {cfg.rerun}")
    if not isinstance(cfg.test, bool):
        raise UserError(f"test must be true or false, got {cfg.test}")
    if cfg.rerun and cfg.resume == "must":
        raise UserError("rerun=true starts over, resume=must refuses to: give one of them")
    check_trainer(cfg.trainer)


def try_network(cfg: DictConfig, network: "nn.Module", size: str = "dataset.size") -> "list[Layer]":
    """The network's layers for one of the data set's images.

    Args:
        cfg: The configuration.
        network: The network.
        size: The field that has the image's height and width.

    Raises:
        UserError: It does not take such images, or does not tell as many classes apart.
    """
    from reslab.analysis.summary import list_layers

    pixels = OmegaConf.select(cfg, size)
    shape = cfg.dataset.channels, pixels, pixels
    text = "x".join(map(str, shape))
    try:
        layers = list_layers(network, shape)
    except OSError:  # of a disk, not of the network
        raise
    except Exception as error:
        line = str(error).partition("\n")[0]
        raise UserError(f"model does not take images of {text}: {line}; try {size}") from error
    output = layers[-1].output if layers else ()
    if output != (cfg.dataset.num_classes,):
        raise UserError(
            f"model gives {output} for an image, not one logit for each of the "
            f"{cfg.dataset.num_classes} classes"
        )
    return layers


def _check_name(cfg: DictConfig, key: str) -> None:
    name = OmegaConf.select(cfg, key)
    if name is None and key == "model.name":
        return  # it is called by its class
    if not isinstance(name, str):
        raise UserError(f"{key} must be text, got {name}")
    if not is_file_name(name):
        raise UserError(
            f"{key} is part of a directory's name: it must have 1 to {LONGEST_NAME} printable "
            f"characters, none of them a slash, and begin with none of '.', '-' and space, got "
            f"'{visible(name):.{LONGEST_NAME}}'"
        )


def _refuse_what_nobody_reads(cfg: DictConfig) -> None:
    known = top_level_keys()
    for key in map(str, cfg):
        if key not in known:
            others = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != key])
            reference = rf"\$\{{(?:[\w.]+:)?\.*{re.escape(key)}\b"  # such as ${oc.select:key.part}
            if not re.search(reference, OmegaConf.to_yaml(others)):
                raise UserError(f"{key}: no part of a run reads it{suggest(key, known)}")


def _check_range(
    cfg: DictConfig, key: str, check_one: Callable[..., None], limits: tuple[float, float]
) -> None:
    value = OmegaConf.select(cfg, key)
    if value is None and key in OPTIONAL:
        return
    if key == "trainer.max_epochs" and value == UNLIMITED and cfg.max_steps:
        return
    try:
        check_one(key, value, *limits)
    except ValueError as error:
        hint = " (-1 with max_steps)" if key == "trainer.max_epochs" else ""
        raise UserError(f"{error}{hint}") from error
