"""The cells that reproduce a published table: its rows times seeds, as the user wants them."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from reslab.config import compose, instantiate, parse_overrides
from reslab.errors import UserError
from reslab.runs.check import check_values, try_network
from reslab.runs.identity import WITHOUT_EFFECT, hashed_config, identity, run_name
from reslab.runs.store import RunDirectory
from reslab.tables.publication import Publication, Row, read_publication


class Workload:
    """What a run of a configuration costs, worked out when it is first asked for.

    Args:
        cfg: The configuration, of any seed.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of a forward pass times epochs or steps: comparable in a table.

        Raises:
            UserError: The network cannot be built, or does not take the data set's images.
        """
        from reslab.runs.network import build_network  # with torch: see `load_table`

        layers = try_network(self.cfg, build_network(self.cfg))
        length = self.cfg.max_steps or self.cfg.trainer.max_epochs
        return sum(layer.macs for layer in layers) * length


@dataclass(frozen=True)
class Cell:
    """One run of a row: what to ask of Hydra, and where it lies.

    Attributes:
        row: The row.
        seed: The run's seed.
        overrides: What to ask of Hydra.
        directory: Where the run lies.
        identity: The hash of what its result is a function of.
        cfg: Its configuration.
        workload: What it costs; cells of one recipe share it.
    """

    row: Row
    seed: int
    overrides: tuple[str, ...]
    directory: RunDirectory
    identity: str
    cfg: DictConfig = field(repr=False, compare=False)
    workload: Workload = field(repr=False, compare=False)

    @property
    def dataset(self) -> str:
        """The data set that it trains on."""
        return self.cfg.dataset.name

    @property
    def rerun(self) -> bool | int:
        """Whether it is to be run though it may be finished."""
        return self.cfg.rerun

    @property
    def config(self) -> dict[str, Any]:
        """What its result is a function of."""
        return hashed_config(self.cfg)


@dataclass(frozen=True)
class Table:
    """A published table with the cells to fill it.

    Attributes:
        publication: What was published.
        published_dataset: The data set that its recipes name, or all of them: `mnist+cifar10`.
        cells: Rows times seeds.
        changes: The user's to its recipes.
        quick: Whether it is at the small scale that its file names.
    """

    publication: Publication
    published_dataset: str
    cells: tuple[Cell, ...]
    changes: tuple[str, ...]
    quick: bool = False

    @property
    def heading(self) -> str:
        """What the table and its pictures are called."""
        scale = f", with {' '.join(self.alterations)}" if self.alterations else ""
        if self.quick:
            scale = " at the quick scale, not the published one"
        return f"{self.publication.title}, on {self.dataset}{scale}"

    @property
    def alterations(self) -> tuple[str, ...]:
        """The user's changes to recipes on their own data set: this is not the published table."""
        return self.changes if self.dataset == self.published_dataset else ()

    @property
    def place(self) -> Path:
        """Where its files are, below a folder with tables: `<table>/<data set>[-quick]`."""
        dataset = f"{self.dataset}-quick" if self.quick else self.dataset
        return Path(self.publication.name) / dataset

    @property
    def dataset(self) -> str:
        """The data set that the cells train on, or all of them: `mnist+cifar10`."""
        return _join(cell.dataset for cell in self.cells)


def load_table(name: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Table:
    """A published table's cells; each configuration is composed once, and no network built.

    An optimizer is tried where an override is about it: a recipe's own is before a run, so that
    what looks at a table does not wait for torch.

    Args:
        name: The table's name.
        overrides: Hydra overrides for every cell; `seed=0,1` replaces the table's seeds.
        quick: Whether to begin with the overrides that the table's file calls quick.

    Raises:
        UserError: There is no such table, or an override is wrong.
    """
    publication = read_publication(name)
    if quick and not publication.quick:
        raise UserError(f"the table {name} has no quick scale: its file names none")
    seeds: Sequence[int] = publication.seeds
    asked: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    for key, text, values in parse_overrides([*(publication.quick if quick else ()), *overrides]):
        if key == "seed":
            seeds = values
        elif key == "extend_from":
            raise UserError(f"{text}: a table's runs are whole; `reslab train` extends one")
        elif key == "test":
            raise UserError(f"{text}: a table is of what runs come to on their test sets")
        elif len(values) > 1:
            raise UserError(f"{text}: a table sweeps over seeds alone")
        else:
            asked += (text,)
            changes += (text,) if key not in WITHOUT_EFFECT else ()
    recipes = dict.fromkeys(row.recipe for row in publication.rows)
    published = {recipe: compose([f"recipe={recipe}"]) for recipe in recipes}
    ours = {r: compose([f"recipe={r}", *asked]) for r in recipes} if asked else published
    if any(text.lstrip("+~").startswith("optimizer") for text in asked):
        for cfg in ours.values():
            instantiate(cfg, "optimizer")
    workloads = {recipe: Workload(cfg) for recipe, cfg in ours.items()}
    cells = tuple(
        _cell(row, seed, workloads[row.recipe], asked)
        for row in publication.rows
        for seed in dict.fromkeys(seeds)  # a seed that is given twice is one
    )
    published_dataset = _join(cfg.dataset.name for cfg in published.values())
    return Table(publication, published_dataset, cells, changes, quick)


def _cell(row: Row, seed: int, workload: Workload, asked: tuple[str, ...]) -> Cell:
    cfg = deepcopy(workload.cfg)
    cfg.seed = seed
    check_values(cfg)
    overrides = (f"recipe={row.recipe}", f"seed={seed}", *asked)
    directory = RunDirectory(Path(cfg.runs_dir) / run_name(cfg))
    return Cell(row, seed, overrides, directory, identity(cfg), cfg, workload)


def _join(datasets: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(datasets))
