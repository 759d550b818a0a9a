"""Where configurations lie: reslab's own, and beside them a user's."""

import hashlib
import os
import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from reslab.errors import UserError

# In a wheel the configurations are inside the package, in the repository beside it.
PACKAGE = Path(__file__).parents[1]
CONF_DIR = next(path for path in (PACKAGE / "conf", PACKAGE.parents[1] / "conf") if path.is_dir())

VERSION_BASE = "1.3"

# Folders beside the groups of a run.
NO_GROUPS = ("search", "table")

# Folders of a user's own configurations, looked through after reslab's.
_own_folders: list[Path] = []

_composing = RLock()


def add_folder(folder: Path) -> None:
    """Makes the groups and options in a folder of the user's own known beside reslab's.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    for file in sorted(CONF_DIR.rglob("*.yaml")):  # beside groups, thousands of runs may lie there
        if (own := folder / file.relative_to(CONF_DIR)).is_file():
            raise UserError(f"{own} has the name of a file of reslab's own: choose another")
    _own_folders.append(folder.resolve())


@contextmanager
def folder_added(folder: Path) -> Iterator[None]:
    """Knows a folder as `add_folder` does, as long as it is entered."""
    is_new = str(folder.resolve()) not in own_folders()
    if is_new:
        add_folder(folder)
    try:
        yield
    finally:
        if is_new:
            _own_folders.remove(folder.resolve())


def own_folders() -> list[str]:
    """The user's own folders, for a process that is to compose the same."""
    return [str(folder) for folder in _own_folders]


def own_groups() -> list[Path]:
    """What in the user's folders may be part of a configuration: folders with files, and files.

    Whatever else lies there is none, such as runs.
    """
    known = {*list_groups(), *NO_GROUPS}
    return [
        path
        for folder in _own_folders
        for path in sorted(folder.iterdir())
        if path.suffix == ".yaml" or path.name in known or any(path.glob("*.yaml"))
    ]


def search_path() -> list[str]:
    """The override that makes Hydra look through the user's folders too."""
    folders = [f'"file://{folder}"' for folder in _own_folders]
    return [f"hydra.searchpath=[{','.join(folders)}]"] if folders else []


@contextmanager
def _hydra() -> Iterator[None]:
    """Hydra, which has one state for all of a process: a thread waits for the one before."""
    with (
        _composing,
        hydra.initialize_config_dir(config_dir=str(CONF_DIR), version_base=VERSION_BASE),
    ):
        try:
            yield
        except yaml.YAMLError as error:  # of a file that is being written, say
            raise UserError(not_yaml(error)) from error


def not_yaml(error: Exception) -> str:
    """A line with the file and the place at which it is not YAML."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"not YAML: {' '.join(str(error).split())}"
    at = error.problem_mark
    return f"{at.name}, line {at.line + 1}: this is not YAML: {error.problem}"


def composed(overrides: Sequence[str], name: str = "train") -> DictConfig:
    """What Hydra makes of a file, and those that it names, and a list of overrides.

    Hydra takes a tenth of a second, so what it once made of them is kept, as long as every file of
    reslab's is as it was. In a user's folders much else may lie: with them it is composed anew.

    Its errors are as they are.
    """
    _refuse_packages(overrides)
    asked = (*search_path(), *overrides)
    if any("hydra.searchpath" in text for text in asked):
        with _hydra():
            return hydra.compose(name, list(asked))
    cfg: DictConfig = pickle.loads(_kept(name, asked, _state(asked)))
    return cfg


@lru_cache(maxsize=256)  # of some 10 KB each
def _kept(name: str, overrides: tuple[str, ...], _: bytes) -> bytes:
    """What these are composed to in a state of all else, pickled."""
    with _hydra():
        return pickle.dumps(hydra.compose(name, list(overrides)))


def _state(overrides: Sequence[str]) -> bytes:
    """A digest of reslab's files, and of the environment as far as these or overrides ask it."""
    digest = hashlib.sha256(of_variables(" ".join(overrides).encode()))
    for path in sorted(CONF_DIR.rglob("*.yaml")):
        text = path.read_bytes()
        digest.update(f"{path}\0{len(text)}\0".encode() + text + of_variables(text))
    return digest.digest()


def of_variables(text: bytes) -> bytes:
    """What the environment says to a text that asks it."""
    names = re.findall(rb"oc\.env:\s*[\"']?(\w+)", text)
    return repr([os.environ.get(name.decode()) for name in names]).encode()


def composed_of_hydra(overrides: Sequence[str]) -> dict[str, Any]:
    """Hydra's own part of the configuration of a sweep, as plain values, nothing interpolated."""
    _refuse_packages(overrides)
    with _hydra():
        loader = GlobalHydra.instance().config_loader()
        cfg = loader.load_configuration("train", list(overrides), run_mode=RunMode.MULTIRUN)
    plain: Any = OmegaConf.to_container(cfg.hydra)
    return plain


def _refuse_packages(overrides: Sequence[str]) -> None:
    """Of where Hydra is to look for files, whatever else than a folder it would import."""
    for text in overrides:
        key, _, value = text.partition("=")
        if key.lstrip("+") == "hydra.searchpath" and re.search(r"(?<!file)://|\$\{", value):
            raise UserError(f"{text}: give folders, by --config-dir; packages are not imported")


@cache
def top_level_keys() -> list[str]:
    """Names of what a run reads: the groups, and the keys beside them."""
    beside = OmegaConf.load(CONF_DIR / "train.yaml")
    return sorted({*map(str, beside), *list_groups()} - {"defaults", "hydra", "recipe", "ablation"})


def list_options(group: str) -> list[str]:
    """Names of the files of a configuration group, those of its folders as `folder/file`."""
    folders = [root / group for root in (CONF_DIR, *_own_folders)]
    return sorted(
        {str(p.relative_to(f).with_suffix("")) for f in folders for p in f.rglob("*.yaml")}
    )


def find_option(group: str, name: str) -> Path | None:
    """The file of an option, reslab's before a user's own; a path out of the group is none."""
    if name not in list_options(group):
        return None
    paths = (root / group / f"{name}.yaml" for root in (CONF_DIR, *_own_folders))
    return next((path for path in paths if path.is_file()), None)


def first_choices() -> dict[str, str | None]:
    """Which option each group of a run has without an override, None where none is chosen."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF_DIR / "train.yaml"))
    entries = [entry for entry in content["defaults"] if isinstance(entry, dict)]
    return {k: v for entry in entries for k, v in entry.items() if not k.startswith("override ")}


def list_groups() -> list[str]:
    """Names of the configuration groups of a run."""
    return sorted(p.name for p in CONF_DIR.iterdir() if p.is_dir() and p.name not in NO_GROUPS)
