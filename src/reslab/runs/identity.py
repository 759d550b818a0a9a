"""Identity: the hash of a resolved configuration, which names the run's directory."""

import hashlib
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reslab.config import is_own_target

# What cannot change a result: `join` and `augment` act through `model` and `dataset`, which
# interpolate them; the others say where things lie, what is shown and whether to resume.
IGNORED = (
    "augment",
    "checkpoint_every",
    "data_dir",
    "dataset.data_dir",
    "join",
    "keep_state",
    "logger",
    "rerun",
    "resume",
    "runs_dir",
    "test",
    "trainer.enable_progress_bar",
    "trainer.quiet",
    "trainer.strategy",
    "trainer.sync_batchnorm",
)

# What `auto` is, where it is there: to insist on it changes no result.
OF_ITSELF = ("gpu", "cuda", "mps")

# Where pictures lie that are known by their content.
ROOT = "dataset.root"

# As overrides, the two presets do change a result: through what interpolates them.
WITHOUT_EFFECT = (ROOT, *(key for key in IGNORED if key not in ("augment", "join")))

# A configuration, or its plain values as they are kept.
Config = MutableMapping[Any, Any]

LONGEST_NAME = 80  # bytes of a data set's or a model's; a file's may have 255

# Names in a mapping have this order, and else the alphabet's, unless the hashed part says another:
# that of the steps of augmentation as the presets have them.
USUAL_ORDER = ("crop", "flip", "brightness", "cutout")


def hashed_config(cfg: Config) -> dict[str, Any]:
    """The part of a configuration that a run is a function of, as plain values.

    Nulls are dropped and numbers are floats, so that an option that is added later with a null
    default, or `1` written as `1.0`, leaves identities as they are. Where names may have an order
    that matters, one that is not the usual one is kept beside them, as `_order_`. On which
    accelerator it runs, and on how many of them a batch is shared, is its environment.
    """
    config: dict[str, Any] = {
        str(key): OmegaConf.to_container(cfg[key], resolve=True)
        if OmegaConf.is_config(cfg[key])
        else cfg[key]
        for key in cfg
        if key not in (*IGNORED, "hydra")
    }
    for key in ("init_from", "extend_from"):
        if config.get(key) is not None:
            config[key] = Path(str(config[key])).name
    trainer = config.get("trainer")
    if isinstance(trainer, dict):
        one = {"devices": 1} if trainer.get("strategy") == "ddp" else {}  # the batch is the same
        any_of = {"accelerator": "auto"} if trainer.get("accelerator") in OF_ITSELF else {}
        config["trainer"] = trainer | one | any_of
    dataset = config.get("dataset")
    known_by_content = isinstance(dataset, dict) and "content" in dataset
    for path in (*IGNORED, ROOT) if known_by_content else IGNORED:
        group, _, key = path.partition(".")
        if isinstance(config.get(group), dict):
            config[group] = {k: v for k, v in config[group].items() if k != key}
    return canonical(config)


def canonical(value: Any, ordered: bool = False) -> Any:
    """A plain value as it is hashed, see `hashed_config`."""
    if isinstance(value, dict):
        ordered = _has_order(value["_target_"]) if "_target_" in value else ordered
        plain = {str(k): canonical(v, ordered) for k, v in value.items() if v is not None}
        names = [name for name in plain if name not in ("_target_", "_partial_")]
        if ordered and names != sorted(names, key=_usual_place):
            plain["_order_"] = names
        return plain
    if isinstance(value, list | tuple):
        return [canonical(v, ordered) for v in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) + 0.0  # of which -0.0 is 0.0
    return value


def as_read(value: Any) -> Any:
    """A hashed value as people write it: whole numbers are whole again, also within lists."""
    if isinstance(value, dict):
        return {key: as_read(one) for key, one in value.items()}
    if isinstance(value, list):
        return [as_read(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _has_order(target: str) -> bool:
    """Whether the order of what it is given may matter: all but `Augment` take theirs by name.

    Of a user's own nobody knows, nor of the mappings that they are given.
    """
    return is_own_target(target) or target.endswith(".Augment")


def _usual_place(name: str) -> tuple[int, str]:
    return USUAL_ORDER.index(name) if name in USUAL_ORDER else len(USUAL_ORDER), name


def identity(cfg: Config) -> str:
    """Eight hexadecimal digits that name the configuration's result."""
    text = json.dumps(hashed_config(cfg), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_name(cfg: Config) -> str:
    """`<data set>-<model>[-<join>]-s<seed>-<identity>`; tolerates a partial configuration."""
    if "model" not in cfg or "dataset" not in cfg:
        return f"partial-{identity(cfg)}"
    return f"{_as_file_name(label(cfg))}-s{cfg['seed']}-{identity(cfg)}"


def is_file_name(text: str) -> bool:
    """Whether a directory may be called by it."""
    fits = 0 < len(text.encode(errors="replace")) <= LONGEST_NAME
    return fits and text.isprintable() and "/" not in text and text[0] not in ".- "


def _as_file_name(text: str) -> str:
    """Itself, or of what a run will be refused for, what its directory is called until then."""
    safe = "".join(c if c.isprintable() and c != "/" else "_" for c in text)
    return safe.lstrip(".- ").encode(errors="replace")[: 2 * LONGEST_NAME].decode(errors="ignore")


def label(cfg: Config) -> str:
    """`<data set>-<model>[-<join>]`, what runs share that differ in seed and numbers."""
    plain = ["nojoin"] if join_name(cfg) == "NoJoin" else []
    return "-".join([str(cfg["dataset"]["name"]), model_name(cfg), *plain])


def model_name(cfg: Config) -> str:
    """What people call the network."""
    model = cfg["model"]
    return str(model.get("name") or "") or model["_target_"].rpartition(".")[2].lower()


def join_name(cfg: Config) -> str | None:
    """The class that merges a block's input with its branch, None in a network without blocks."""
    return (cfg["model"].get("join") or {}).get("_target_", "").rpartition(".")[2] or None


def differing_keys(ours: Any, theirs: Any, prefix: str = "") -> list[str]:
    """Dotted keys at which two hashed configurations differ."""
    if ours == theirs:
        return []
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [
            key
            for name in sorted(ours.keys() | theirs.keys())
            for key in differing_keys(ours.get(name), theirs.get(name), f"{prefix}{name}.")
        ]
    return [prefix.rstrip(".")]


def select(config: dict[str, Any], key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
