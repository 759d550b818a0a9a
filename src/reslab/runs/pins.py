"""The overrides of which a configuration comes that was kept resolved, without them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.config import compose, first_choices, list_options
from reslab.runs.identity import ROOT, WITHOUT_EFFECT, canonical

ROUNDS = 8  # of pinning; what is pinned in one may be what others follow, which the next one sees
PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[A-Za-z_][\w./-]*", re.ASCII | re.IGNORECASE)


def nearest_choices(kept: DictConfig) -> list[str]:
    """The option of each group that a configuration has most of, where it is not the first."""
    plain: Any = OmegaConf.to_container(kept)
    firsts = {group: name for group, name in first_choices().items() if name and group in plain}
    options = {group: list_options(group) for group in firsts}
    distances: dict[str, dict[str, int]] = {group: {} for group in firsts}
    for at in range(max(map(len, options.values()))):
        chosen = {group: names[at] for group, names in options.items() if at < len(names)}
        cfg = compose([f"{group}={name}" for group, name in chosen.items()])
        raw: Any = OmegaConf.to_container(cfg, resolve=False)
        for group, name in chosen.items():
            distances[group][name] = _distance(raw[group], plain[group])
    nearest = {
        group: min(found, key=lambda name: (found[name], name != firsts[group], name))
        for group, found in distances.items()
    }
    return [f"{group}={name}" for group, name in nearest.items() if name != firsts[group]]


def pins(overrides: Sequence[str], kept: DictConfig, *, now: bool = False) -> list[str]:
    """What it takes beside some overrides to come to a configuration that was kept.

    A value that follows from others is left to do so wherever that gives what was kept.

    Args:
        overrides: Those that there are.
        kept: The configuration to come to.
        now: Whether folders are to hold now what they are to have held: else that is left to them.
    """
    plain: Any = OmegaConf.to_container(kept)
    theirs, found = canonical(plain), list[str]()
    for _ in range(ROUNDS):
        cfg = compose([*overrides, *found])
        raw: Any = OmegaConf.to_container(cfg, resolve=False)
        if not now:
            cfg = as_then(cfg, kept)
        differing = list(_differing(raw, plain, canonical(_values(cfg)), theirs, ""))
        if not differing:
            break
        given = [text for text, follows in differing if not follows]
        found += given or [text for text, _ in differing]
    return found


def as_then(cfg: DictConfig, kept: DictConfig) -> DictConfig:
    """A configuration in which folders hold what they held when another one was kept."""
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    for key in _looked_up(plain):
        if (value := OmegaConf.select(kept, key)) is not None:
            OmegaConf.update(cfg, key, value)
    return cfg


def _looked_up(raw: Any, prefix: str = "") -> Iterator[str]:
    """Keys of what is looked up in a folder, and so is another when that has changed."""
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from _looked_up(value, f"{prefix}{name}.")
        elif isinstance(value, str) and "${folder:" in value:
            yield f"{prefix}{name}"


def _distance(raw: Any, plain: Any) -> int:
    """How many values differ, those that follow from others left aside."""
    if isinstance(raw, dict) and isinstance(plain, dict):
        keys = [key for key in raw.keys() | plain.keys() if key != "data_dir"]
        return sum(_distance(raw.get(key), plain.get(key)) for key in keys)
    if _follows(raw) or raw == plain:
        return 0
    return max(_leaves(raw), _leaves(plain))


def _leaves(value: Any) -> int:
    return sum(map(_leaves, value.values())) if isinstance(value, dict) else 1


def _differing(
    raw: Any, plain: Any, ours: Any, theirs: Any, prefix: str
) -> Iterator[tuple[str, bool]]:
    """An override for each value that differs, and whether the value follows from others now."""
    for name in sorted(ours.keys() | theirs.keys()):
        key = f"{prefix}{name}"
        if name == "_order_" or (key in WITHOUT_EFFECT and key != ROOT):
            continue
        node, one, other = raw.get(name), ours.get(name), theirs.get(name)
        if isinstance(node, dict) and isinstance(one, dict) and isinstance(other, dict):
            yield from _differing(node, plain[name], one, other, f"{key}.")
        elif one != other and name in plain:
            yield f"++{key}={as_typed(plain[name])}", _follows(node)
        elif one != other and prefix:
            yield f"~{key}", _follows(node)


def _values(cfg: DictConfig) -> dict[str, Any]:
    """Plain values; of those that follow from what is not given yet, what they are written as."""
    values: dict[str, Any] = {}
    raw: Any = OmegaConf.to_container(cfg, resolve=False)
    for name in map(str, cfg):
        try:
            node = cfg[name]
            values[name] = _values(node) if OmegaConf.is_dict(node) else node
            if OmegaConf.is_list(node):
                values[name] = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException:
            values[name] = str(raw[name])
    return values


def _follows(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_follows, value))
    return isinstance(value, str) and "${" in value


def as_typed(value: Any) -> str:
    """A plain value as Hydra reads it in an override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_typed(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_typed, value)) + "]"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)  # a backslash before a quote is two
        return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"
    return str(value)
