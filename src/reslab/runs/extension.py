"""Which finished run a longer one goes on from, and whether that changes what comes of it.

A network whose configuration, but for the length itself, does not follow from how long it is
trained is the same at an epoch whatever epochs come after: an extension comes to what one run of
its length would, so it is that run, and `extend_from` no more part of its identity than `resume`.
Where something does follow from the length, as a cosine's period does, the epochs that were
trained for another end make another result: there the run's name is hashed, as that in `init_from`.
"""

import csv
import glob
from copy import deepcopy
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.errors import UserError
from reslab.runs.identity import differing_keys, hashed_config, label, run_name
from reslab.runs.store import RunDirectory, find_run

AUTO = "auto"
LENGTH = ("trainer.max_epochs", "max_steps")
MANY = 1000  # times as long, which no share of the length rounds away


def settled(cfg: DictConfig) -> DictConfig:
    """The configuration with `extend_from` as far as the result depends on it.

    Null where it does not, else the run that `auto` stands for, if there is one.
    """
    asked = OmegaConf.select(cfg, "extend_from")
    if asked is None:
        return cfg
    cfg = deepcopy(cfg)
    if not follow_the_length(cfg):
        cfg.extend_from = None
    elif asked == AUTO and (found := shorter_runs(cfg)):
        cfg.extend_from = found[-1].name
    return cfg


def follow_the_length(cfg: DictConfig) -> list[str]:
    """The keys, beside the length itself, whose values another length would change."""
    longer = [
        value * MANY if isinstance(value, int) and value > 0 else value for value in _length(cfg)
    ]
    keys = differing_keys(_but_its_source(cfg), _but_its_source(_with_length(cfg, longer)))
    return [key for key in keys if key not in LENGTH]


def shorter_runs(cfg: DictConfig) -> list[RunDirectory]:
    """The finished runs that differ from a configuration in being shorter, the best one last.

    Those that have kept their state come last, of these the longest, and of as long ones that which
    was one run.
    """
    found = []
    start = glob.escape(f"{label(cfg)}-s{cfg.seed}-")
    for file in sorted(Path(cfg.runs_dir).glob(f"{start}*/metrics.json")):
        directory = RunDirectory(file.parent)
        try:
            ended = reached(directory)
            named_so = directory.name == run_name(directory.config())  # no copy, no renamed one
            if named_so and is_longer(cfg, ended) and not differences(cfg, directory):
                is_one = OmegaConf.select(directory.config(), "extend_from") is None
                found.append((directory.state_kept.exists(), ended, is_one, directory))
        except UserError:  # spoilt: nothing to go on from
            continue
    return [directory for *_, directory in sorted(found, key=lambda one: one[:3])]


def find_shorter(cfg: DictConfig, asked: str) -> RunDirectory:
    """The finished run that a configuration asks to go on from.

    Args:
        cfg: The configuration.
        asked: What it said of `extend_from`.

    Raises:
        UserError: There is none, or it is not finished, not shorter or another run besides.
    """
    if asked == AUTO:
        if found := shorter_runs(cfg):
            return found[-1]
        raise UserError(
            f"extend_from=auto: no finished run under {cfg.runs_dir} is the same but for being "
            f"shorter; `reslab runs` lists what is there"
        )
    directory = find_whole(f"extend_from={asked}", asked, Path(cfg.runs_dir))
    if (state := directory.state()) != "finished":
        how = "train --from" if state == "untested" else "resume"
        raise UserError(
            f"extend_from={asked}: it is {state}; `reslab {how} {directory.name}` finishes it"
        )
    if keys := differences(cfg, directory):
        raise UserError(
            f"extend_from={asked}: it differs in {', '.join(keys)}, and not in the length alone; "
            f"init_from={directory.name} starts from its best weights"
        )
    epochs, step = reached(directory)
    if not is_longer(cfg, (epochs, step)):
        raise UserError(
            f"extend_from={asked}: it has trained {epochs} epochs, {step} steps already, as long "
            f"as trainer.max_epochs={cfg.trainer.max_epochs}, max_steps={cfg.max_steps} or longer"
        )
    return directory


def find_whole(asks: str, asked: str, folder: Path) -> RunDirectory:
    """A run by its whole name or its directory, since what names it is part of an identity.

    Raises:
        UserError: There is none, or that is a part of its name; the message begins with `asks`.
    """
    source = find_run(asked, folder)
    if source.name != Path(asked).name:
        raise UserError(f"{asks}: give the whole name, {source.name}")
    return source


def nearest(cfg: DictConfig, directory: RunDirectory) -> str | None:
    """A line about the finished run that a new one could have gone on from, None without one."""
    begun = directory.config_file.exists() or directory.latest.last.exists()
    if cfg.extend_from is not None or begun:
        return None
    try:
        found = shorter_runs(cfg)
    except Exception:  # whatever a wrong configuration makes of it; the run itself will say so
        return None
    if not found:
        return None
    shorter = found[-1]
    epochs, _ = reached(shorter)
    keys = " and ".join(key for key in LENGTH if _differs(cfg, shorter, key))
    way = "extend_from=auto goes on from it"
    if not shorter.state_kept.exists():
        way = "begun with keep_state=true, it could be gone on from by extend_from=auto"
    return f"{shorter.name} ({epochs} epochs) is finished and differs in {keys} alone: {way}"


def reached(directory: RunDirectory) -> tuple[int, int]:
    """The epochs and steps of a finished run.

    Raises:
        UserError: Its record or history is missing or damaged.
    """
    try:
        with directory.metrics_file.open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        return int(last["epoch"]), int(last["step"])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise UserError(f"{directory.metrics_file} is missing or damaged: {error}") from error


def is_longer(cfg: DictConfig, ended: tuple[int, int]) -> bool:
    """Whether a run goes on behind so many epochs and steps."""
    max_epochs, max_steps = _length(cfg)
    return (max_epochs < 0 or max_epochs > ended[0]) and (max_steps is None or max_steps > ended[1])


def differences(cfg: DictConfig, directory: RunDirectory) -> list[str]:
    """Keys at which a run's configuration would differ were it as long as another run.

    Raises:
        UserError: The other one's configuration cannot be read.
    """
    theirs = directory.config()
    try:
        ours = _but_its_source(_with_length(cfg, _length(theirs)))
        return differing_keys(ours, _but_its_source(theirs))
    except OmegaConfBaseException:  # a schedule that counts what the other one was not given
        return [key for key in LENGTH if _differs(cfg, directory, key)]


def _differs(cfg: DictConfig, directory: RunDirectory, key: str) -> bool:
    return OmegaConf.select(cfg, key) != OmegaConf.select(directory.config(), key)


def _length(cfg: DictConfig) -> list[Any]:
    return [OmegaConf.select(cfg, key) for key in LENGTH]


def _with_length(cfg: DictConfig, length: list[Any]) -> DictConfig:
    cfg = deepcopy(cfg)
    for key, value in zip(LENGTH, length, strict=True):
        if OmegaConf.select(cfg, key) != value:
            OmegaConf.update(cfg, key, value)
    return cfg


def _but_its_source(cfg: DictConfig) -> dict[str, Any]:
    config = hashed_config(cfg)
    config.pop("extend_from", None)
    return config
