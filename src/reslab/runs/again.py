"""A run's configuration once more, with changes: as the overrides that Hydra is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.config import (
    add_folder,
    compose,
    groups_chosen_by,
    list_groups,
    own_folders,
    parse_overrides,
)
from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.extension import settled
from reslab.runs.identity import ROOT, differing_keys, hashed_config
from reslab.runs.pins import as_then, as_typed, nearest_choices, pins
from reslab.runs.store import RunDirectory, find_run

# What a command asked of itself, and not of the run's configuration.
OF_THE_COMMAND = ("rerun", "resume", "extend_from", "test")

# Paths, which count from where a command is given.
PLACES = (ROOT, "data_dir", "init_from")

CONTENT = "dataset.content"


@dataclass(frozen=True)
class Origin:
    """The overrides of which a run's configuration comes.

    Attributes:
        typed: Those of its command.
        found: Those that were found to be needed beside them.
        name: What to call the run.
        folder: Where its command was given, None where that is not known.
        kept: The configuration, None where the run was refused before it had one.
    """

    typed: tuple[str, ...]
    found: tuple[str, ...]
    name: str
    folder: str | None = None
    kept: DictConfig | None = None


def again(
    asked: str, changes: Sequence[str], folder: Path, reporter: Reporter = SILENT
) -> list[str]:
    """The overrides of a run's configuration with changes.

    What its command had typed counts as if the changes had been typed behind it, so that values
    that follow from others go on doing so. What was found besides gives way to a group that is
    chosen anew.

    Args:
        asked: The run: its directory, its name or a part of that; or a copy of its `config.yaml`.
        changes: Overrides, those of a sweep included.
        folder: Where runs lie.
        reporter: Told what could not be kept.

    Raises:
        UserError: There is no such run, it cannot be read, or no overrides come to it any more.
    """
    origin = _origin(asked, folder, reporter)
    changed = {key: values for key, _, values in parse_overrides(changes)}
    anew = {key for key in changed if key in list_groups()}
    for group in ("recipe", "ablation"):
        for name in changed.get(group, []):
            anew |= set(groups_chosen_by(group, str(name)))
    origin = _placed(origin, [*changed, *anew], reporter)
    if not {"dataset", ROOT} & {*changed, *anew}:
        _say_whether_pictures_changed(origin, reporter)
    found = [
        text
        for key, text, _ in parse_overrides(origin.found)
        if key not in changed and key.partition(".")[0] not in anew
    ]
    typed = [(key, text) for key, text, _ in parse_overrides(origin.typed) if key not in changed]
    below = [text for key, text in typed if key.partition(".")[0] in anew and "." in key]
    kept = [text for _, text in typed if text not in below]
    if below:
        single = [text if len(v) == 1 else f"{k}={v[0]}" for k, text, v in parse_overrides(changes)]
        plain: Any = OmegaConf.to_container(compose([*kept, *found, *single]), resolve=False)
        for key, text in typed:
            if text in below and (text.startswith("+") or _is_there(plain, key)):
                kept.append(text)
            elif text in below:
                reporter.say(f"--from: {text} is left out, for there is no {key} any more")
    return [*kept, *found, *changes]


def _placed(origin: Origin, changed: Sequence[str], reporter: Reporter) -> Origin:
    """With relative paths meant from where the run's command was given, if they lead nowhere here.

    Args:
        origin: The run.
        changed: Keys and groups that are chosen anew, which are meant from here.
        reporter: Told which are meant from there.
    """
    if origin.folder is None:
        return origin
    given = {key: values[0] for key, _, values in parse_overrides(origin.typed)}
    if origin.kept is not None:
        kept = {key: OmegaConf.select(origin.kept, key) for key in PLACES}
        given = {key: value for key, value in kept.items() if value is not None} | given
    typed, found = list(origin.typed), list(origin.found)
    for key in (*PLACES, "dataset.data_dir"):
        path = Path(str(getattr(given.get(key), "text", given.get(key))))
        there = Path(origin.folder) / path
        if (
            key in given
            and not {key, key.partition(".")[0]} & {*changed}
            and not path.exists()
            and there.exists()
        ):
            typed = [text for other, text, _ in parse_overrides(typed) if other != key]
            found = [text for other, text, _ in parse_overrides(found) if other != key]
            found.append(f"{key}={as_typed(str(there))}")
            reporter.say(f"--from: {key} is {there}, from where {origin.name} was begun")
    return replace(origin, typed=tuple(typed), found=tuple(found))


def _say_whether_pictures_changed(origin: Origin, reporter: Reporter) -> None:
    then = None if origin.kept is None else OmegaConf.select(origin.kept, CONTENT)
    if then is None:
        return
    root, now = _pictures([*origin.typed, *origin.found])
    if now is not None and now != then:
        reporter.say(
            f"--from: the pictures in {root} have changed since {origin.name}: this is another run"
        )


def _pictures(overrides: Sequence[str]) -> tuple[str, str | None]:
    """The folder of a configuration and what it holds now, None where it holds no data set."""
    cfg = compose(overrides)
    try:
        content = OmegaConf.select(cfg, CONTENT)
    except OmegaConfBaseException:  # which is said where it is trained on
        content = None
    return str(OmegaConf.select(cfg, ROOT)), content


def _is_there(plain: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(plain, dict) or part not in plain:
            return False
        plain = plain[part]
    return True


def _origin(asked: str, folder: Path, reporter: Reporter) -> Origin:
    path = Path(asked)
    directory = RunDirectory(path.parent)
    if path.is_file() and not (path == directory.config_file and directory.request_file.exists()):
        return _of_a_copy(path)
    if not path.is_file():
        directory = find_run(asked, folder)
    request = directory.request()
    if request is None:
        return _of_a_copy(directory.config_file)
    for own in request.config_dirs:
        if own not in own_folders():
            add_folder(Path(own))
    typed = tuple(
        text for key, text, _ in parse_overrides(request.overrides) if key not in OF_THE_COMMAND
    )
    if not directory.config_file.exists():  # it was refused, and is to be put right
        return Origin(typed, (), directory.name, request.folder)
    kept = _read(directory.config_file)
    try:
        found = pins(typed, kept)
    except UserError:  # what was typed is no longer understood
        return replace(_of_a_copy(directory.config_file), folder=request.folder)
    if since := [text for text in found if not text.startswith("++extend_from=")]:
        reporter.say(
            f"--from: the presets have changed since {directory.name}, which had {' '.join(since)}"
        )
    origin = Origin(typed, tuple(found), directory.name, request.folder, kept)
    return _checked(origin, directory.config_file)


def _of_a_copy(path: Path) -> Origin:
    kept = _read(path)
    try:
        found = nearest_choices(kept)
        found += pins(found, kept)
        content = OmegaConf.select(kept, CONTENT)
        if content is not None and _pictures(found)[1] == content:
            found += pins(found, kept, now=True)  # what was chosen against what a folder holds
        name = path.parent.name if path.name == "config.yaml" else str(path)
        return _checked(Origin((), tuple(found), name, kept=kept), path)
    except UserError as error:
        raise UserError(f"{path} is not what any overrides come to: {error}") from error


def _checked(origin: Origin, path: Path) -> Origin:
    assert origin.kept is not None
    ours = settled(as_then(compose([*origin.typed, *origin.found]), origin.kept))
    if keys := differing_keys(hashed_config(ours), hashed_config(origin.kept)):
        raise UserError(f"{path}: {', '.join(keys)} cannot be set to what was kept there")
    return origin


def _read(path: Path) -> DictConfig:
    try:
        cfg = OmegaConf.load(path)
        if isinstance(cfg, DictConfig):
            hashed_config(cfg)
    except Exception as error:  # whatever a foreign or damaged file makes of reading it
        line = str(error).strip().partition("\n")[0]
        raise UserError(f"{path} cannot be read as a run's configuration: {line}") from error
    groups = ("dataset", "model", "optimizer", "trainer")
    if not isinstance(cfg, DictConfig) or not all(OmegaConf.is_dict(cfg.get(g)) for g in groups):
        raise UserError(f"{path} is no run's configuration: it lacks one of {', '.join(groups)}")
    return cfg
