"""A table as it was published, and the cells that reproduce it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from reslab.config import compose, find_option, instantiate, list_options, parse_overrides, suggest
from reslab.errors import UserError
from reslab.runs.identity import WITHOUT_EFFECT, hashed_config, identity, run_name
from reslab.runs.request import check, try_network
from reslab.runs.store import RunDirectory

TEXTS = ("parameters", "macs", "memory")  # as the paper writes them
PUBLISHED = (
    *("accuracy", "train_accuracy", "val_accuracy", "loss"),
    *("minutes", "mebibytes", "images_per_second"),
    *TEXTS,
)
EXTRA = (
    *("train_accuracy", "val_accuracy", "loss"),
    *("macs", "memory", "mebibytes", "images_per_second"),
)


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        name: What the table calls it.
        recipe: The recipe that reproduces it.
        published: What the paper gives of it, by the keys of `PUBLISHED`; accuracies in percent,
            any number also as its lowest and highest.
        depth: The network's layers, where the table is one over depth.
        family: Which rows make one line over depth.
    """

    name: str
    recipe: str
    published: dict[str, Any] = field(default_factory=dict)
    depth: int | None = None
    family: str | None = None


@dataclass(frozen=True)
class Cell:
    """One run of a row: what to ask of Hydra, and where it lies.

    `work` is what it costs, in multiply-accumulates of a forward pass times epochs or steps:
    comparable within a table. `rerun` is whether it is to be run though it may be finished;
    `config` what its result is a function of, and `identity` the hash of that.
    """

    row: Row
    seed: int
    overrides: tuple[str, ...]
    directory: RunDirectory
    dataset: str
    work: int
    rerun: bool
    identity: str
    config: dict[str, Any] = field(repr=False, hash=False, compare=False)


@dataclass(frozen=True)
class Table:
    """A published table with the cells to fill it.

    `changes` are the user's to its recipes, `hardware` what the published minutes were taken on,
    `pairs` which rows are compared with which, `columns` what is shown besides the usual, `quick`
    whether it is at the small scale that its file names, `notes` what its file says to the reader.
    """

    name: str
    title: str
    published_dataset: str
    rows: tuple[Row, ...]
    cells: tuple[Cell, ...]
    changes: tuple[str, ...]
    hardware: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    quick: bool = False
    notes: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """What the table and its pictures are called."""
        scale = f", with {' '.join(self.alterations)}" if self.alterations else ""
        if self.quick:
            scale = " at the quick scale, not the published one"
        return f"{self.title}, on {self.dataset}{scale}"

    @property
    def alterations(self) -> tuple[str, ...]:
        """The user's changes to recipes on their own data set: this is not the published table."""
        return self.changes if self.dataset == self.published_dataset else ()

    @property
    def folder(self) -> str:
        """The last part of the path of its files."""
        return f"{self.dataset}-quick" if self.quick else self.dataset

    @property
    def dataset(self) -> str:
        """The data set that the cells train on, or all of them: `mnist+cifar10`."""
        return _join(cell.dataset for cell in self.cells)


def load_table(name: str, overrides: Sequence[str] = (), *, quick: bool = False) -> Table:
    """Reads `conf/table/<name>.yaml` and works out its cells.

    Args:
        name: The table's name.
        overrides: Hydra overrides for every cell; `seed=0,1` replaces the table's seeds.
        quick: Whether to begin with the overrides that the table's file calls quick.

    Raises:
        UserError: There is no such table, or an override is wrong.
    """
    path = find_option("table", name)
    if path is None:
        raise UserError(f"there is no table {name}{suggest(name, list_options('table'))}")
    spec = _read(path)
    rows = tuple(Row(**row) for row in spec["rows"])
    published_dataset = _join(compose([f"recipe={row.recipe}"]).dataset.name for row in rows)
    seeds: Sequence[int] = spec["seeds"]
    asked: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    first = spec.get("quick", ()) if quick else ()
    if quick and not first:
        raise UserError(f"{path} has no quick scale")
    for key, text, values in parse_overrides([*first, *overrides]):
        if key == "seed":
            seeds = values
        elif len(values) > 1:
            raise UserError(f"{text}: a table sweeps over seeds alone")
        else:
            asked += (text,)
            changes += (text,) if key not in WITHOUT_EFFECT else ()
    seeds = tuple(dict.fromkeys(seeds))  # a seed that is given twice is one
    cells = tuple(cell for row in rows for cell in _cells(row, seeds, asked))
    return Table(
        name,
        spec["title"],
        published_dataset,
        rows,
        cells,
        changes,
        spec.get("hardware"),
        tuple((first, second) for first, second in spec.get("pairs", ())),
        tuple(spec.get("columns", ())),
        quick,
        tuple(spec.get("notes", ())),
    )


def _read(path: Path) -> dict[str, Any]:
    """A table's file, checked before anything is trained for it."""
    try:
        spec: Any = OmegaConf.to_container(OmegaConf.load(path))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    optional = ("hardware", "pairs", "columns", "quick", "notes")
    _check_keys(path, "the table", spec, ("title", "seeds", "rows"), optional)
    if not isinstance(spec["seeds"], list) or not spec["rows"]:
        raise UserError(f"{path}: seeds must be a list, and there must be rows")
    for row in spec["rows"]:
        name = f"row {row['name']}" if isinstance(row, dict) and "name" in row else "a row"
        _check_keys(path, name, row, ("name", "recipe"), ("published", "depth", "family"))
        published = row.get("published", {})
        _check_keys(path, f"{name}: published", published, (), PUBLISHED)
        numbers = (value for key, value in published.items() if key not in TEXTS)
        for value in numbers:
            ends = value if isinstance(value, list) and len(value) == 2 else [value]
            if not all(end is None or isinstance(end, int | float) for end in ends):
                raise UserError(f"{path}: {name}: {value} must be a number, or [lowest, highest]")
    names = [row["name"] for row in spec["rows"]]
    for name in names:
        if not isinstance(name, str) or not slug(name) or name.startswith("_") or "$" in name:
            raise UserError(f"{path}: {name}: a row's name must have letters or digits, and no $")
        if [slug(other) for other in names].count(slug(name)) > 1:
            raise UserError(f"{path}: {name}: another row's name is too much like it")
    for pair in spec.get("pairs", ()):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"{path}: {pair} must be a pair of rows")
        for name in pair:
            if name not in names:
                raise UserError(f"{path}: pairs: there is no row {name}{suggest(name, names)}")
    for column in spec.get("columns", ()):
        if column not in EXTRA:
            raise UserError(f"{path}: there is no column {column}{suggest(column, EXTRA)}")
    for key in ("depth", "family"):
        if len({key in row for row in spec["rows"]}) > 1:
            raise UserError(f"{path}: {key} must be in every row or in none")
    return spec


def _check_keys(
    path: Path, what: str, content: Any, needed: Sequence[str], optional: Sequence[str]
) -> None:
    if not isinstance(content, dict):
        raise UserError(f"{path}: {what} must be a mapping, got {content}")
    for key in content.keys() - {*needed, *optional}:
        raise UserError(f"{path}: {what} has no {key}{suggest(key, (*needed, *optional))}")
    for key in needed:
        if key not in content:
            raise UserError(f"{path}: {what} lacks {key}")


def _join(datasets: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(datasets))


def _cells(row: Row, seeds: Sequence[int], asked: tuple[str, ...]) -> list[Cell]:
    cells: list[Cell] = []
    cfg = compose([f"recipe={row.recipe}", *asked])  # once: the seed is all that sets cells apart
    for seed in seeds:
        cfg.seed = seed
        check(cfg)
        if cells:
            work = cells[0].work
        else:
            layers = try_network(cfg, instantiate(cfg, "model"))
            work = sum(layer.macs for layer in layers) * (cfg.max_steps or cfg.trainer.max_epochs)
        overrides = (f"recipe={row.recipe}", f"seed={seed}", *asked)
        directory = RunDirectory(Path(cfg.runs_dir) / run_name(cfg))
        about = cfg.dataset.name, work, cfg.rerun, identity(cfg), hashed_config(cfg)
        cells.append(Cell(row, seed, overrides, directory, *about))
    return cells


def slug(name: str) -> str:
    """A row's name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
