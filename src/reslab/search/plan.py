"""What a search is asked: what its trials share, what is chosen for each, and by what."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reslab.config import (
    Bounds,
    compose,
    compose_search,
    launcher_options,
    parse_bounds,
)
from reslab.errors import UserError
from reslab.runs.best import is_better
from reslab.runs.check import check
from reslab.runs.identity import WITHOUT_EFFECT, is_file_name, label, run_name
from reslab.runs.resolvers import register_resolvers
from reslab.runs.store import RunDirectory
from reslab.search.summary import FOLDER

register_resolvers()

UNTESTED = "test=false"
ITS_OWN = {
    "test": "only the best trial reads the test set, when the search is over",
    "rerun": "a trial is run once; search.name=NAME begins another study",
    "resume": "the same command goes on",
    "extend_from": "a trial is a whole run",
}


@dataclass(frozen=True)
class Search:
    """A search.

    Attributes:
        name: The study's.
        folder: Where its files are.
        shared: Overrides of every trial.
        bounds: By its key, what is chosen for each.
        options: The search's own configuration, `search`.
        launcher: Options of the launcher.
        monitor: The metric that its best epoch has the best of, and the best trial.
        on_gpus: Whether trials compute on a GPU where there is one.
        typed: The overrides that ask for it, as they were typed.
    """

    name: str
    folder: Path
    shared: tuple[str, ...]
    bounds: dict[str, Bounds]
    options: DictConfig
    launcher: dict[str, Any]
    monitor: str
    on_gpus: bool
    typed: tuple[str, ...]

    @property
    def runs_dir(self) -> Path:
        """Where its trials' runs are."""
        return self.folder.parent.parent

    @property
    def maximizes(self) -> bool:
        """Whether more of the metric is better."""
        return is_better(1.0, 0.0, self.monitor)

    @property
    def asked(self) -> dict[str, Any]:
        """What makes it this study and no other, as plain values."""
        own: Any = OmegaConf.to_container(self.options.search, resolve=True)
        content = {
            "overrides": sorted(_with_effect(self.shared)),
            "bounds": {key: asdict(one) for key, one in sorted(self.bounds.items())},
            "monitor": self.monitor,
            **{key: own[key] for key in ("seed", "sampler", "pruner")},
        }
        plain: dict[str, Any] = json.loads(json.dumps(content))  # as a storage gives it back
        return plain

    def overrides(self, params: Mapping[str, Any]) -> tuple[str, ...]:
        """A trial's, of what was chosen for it."""
        chosen = (f"{key}={self.bounds[key].text(value)}" for key, value in params.items())
        return (*self.shared, *sorted(chosen))

    def directory(self, overrides: Sequence[str]) -> RunDirectory:
        """Where a trial's run lies.

        Raises:
            UserError: These values do not go together.
        """
        cfg = compose(overrides)
        return RunDirectory(Path(cfg.runs_dir) / run_name(cfg))


def plan(overrides: Sequence[str]) -> Search:
    """What a command asks for, tried at both ends of all bounds.

    Raises:
        UserError: An override is wrong, or nothing is left to be chosen.
    """
    of_hydra = [one for one in overrides if one.lstrip("+~").startswith("hydra")]
    of_search = [one for one in overrides if one.lstrip("+~").startswith(("search.", "search/"))]
    shared, bounds = parse_bounds([one for one in overrides if one not in of_hydra + of_search])
    for text in of_hydra:
        if not text.lstrip("+").startswith(("hydra/launcher=", "hydra.launcher.")):
            raise UserError(f"{text}: of Hydra's own a search takes hydra/launcher alone")
    for key in (*bounds, *(one.partition("=")[0] for one in shared)):
        if reason := ITS_OWN.get(key.lstrip("+~")):
            raise UserError(f"{key}: {reason}")
    for key in bounds:
        if key.lstrip("+") in WITHOUT_EFFECT:
            raise UserError(f"{key} changes no result, so that there is nothing to search")
    if not bounds:
        raise UserError(
            "nothing is left to be chosen: write what a key may be, such as "
            "'optimizer.lr=log(1e-4,1e-1)' or model.dropout=0.0,0.2"
        )
    options = compose_search([_named(one) for one in of_search])
    _check(options.search)
    ends = [[f"{key}={one.ends[at]}" for key, one in bounds.items()] for at in (0, 1)]
    first, last = (compose([*shared, *chosen]) for chosen in ends)
    for cfg in (first, last):
        check(cfg)
    search = Search(
        name="",
        folder=Path(first.runs_dir) / FOLDER,
        shared=tuple(shared),
        bounds=bounds,
        options=options,
        launcher=launcher_options(of_hydra),
        monitor=str(first.monitor),
        on_gpus=first.trainer.get("accelerator") != "cpu",
        typed=tuple(overrides),
    )
    name = options.search.name or f"{label(first)}-{_digest(search.asked)}"
    return replace(search, name=name, folder=search.folder / name)


def _named(text: str) -> str:
    """A group that is switched off as its option `none`."""
    key, _, value = text.partition("=")
    return f"{key}=none" if "/" in key and value in ("null", "false", "") else text


def _with_effect(overrides: Sequence[str]) -> list[str]:
    return [one for one in overrides if one.lstrip("+~").partition("=")[0] not in WITHOUT_EFFECT]


def _digest(asked: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:8]


def _check(options: DictConfig) -> None:
    for key, lowest in (("trials", 1), ("seed", 0)):
        value = options[key]
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"search.{key} must be a whole number from {lowest} on, got {value}")
    if options.name is not None and not is_file_name(str(options.name)):
        raise UserError(f"search.name must be a folder's name, got {options.name}")
    if options.storage is not None and "://" not in str(options.storage):
        raise UserError(
            f"search.storage must be a database's address, such as "
            f"postgresql://user@host/name, got {options.storage}"
        )
