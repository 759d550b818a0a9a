"""A table as it was published: what its file says, read and checked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from reslab.config import find_option, list_options, not_yaml, suggest
from reslab.errors import UserError

TEXTS = ("parameters", "macs", "memory")  # as the paper writes them
PUBLISHED = (
    *("accuracy", "train_accuracy", "val_accuracy", "loss"),
    *("minutes", "mebibytes", "images_per_second"),
    *TEXTS,
)
EXTRA = (
    "choices",
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
class Publication:
    """A published table, as `conf/table/<name>.yaml` gives it.

    Attributes:
        name: The stem of its file.
        title: What the table and its pictures are called.
        seeds: The seeds with which each row is run.
        rows: Its rows.
        hardware: What the published times were taken on, None where that is not said.
        pairs: Which rows are compared with which.
        columns: What is shown besides the usual, of `EXTRA`.
        quick: The overrides of its small scale, none where it has no such scale.
        notes: What the reader must know.
    """

    name: str
    title: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    hardware: str | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_publication(name: str) -> Publication:
    """Reads a table's file, reslab's own or a user's, before anything is trained for it.

    Raises:
        UserError: There is no such table, or something in its file cannot be meant.
    """
    path = find_option("table", name)
    if path is None:
        raise UserError(f"there is no table {name}{suggest(name, list_options('table'))}")
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except yaml.YAMLError as error:
        raise UserError(not_yaml(error)) from error
    _check(path, content)
    pairs = tuple((first, second) for first, second in content.pop("pairs", ()))
    rows = tuple(Row(**row) for row in content.pop("rows"))
    lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
    return Publication(name, pairs=pairs, rows=rows, **(content | lists))


def _check(path: Path, content: Any) -> None:
    optional = ("hardware", "pairs", "columns", "quick", "notes")
    _check_keys(path, "the table", content, ("title", "seeds", "rows"), optional)
    for key in content.keys() - {"title", "hardware"}:
        if not isinstance(content[key], list):
            raise UserError(f"{path}: {key} must be a list, got {content[key]}")
    for key in content.keys() & {"title", "hardware", "quick", "notes"}:
        for text in content[key] if isinstance(content[key], list) else [content[key]]:
            if not isinstance(text, str):
                raise UserError(f"{path}: {key}: {text} must be text: put it in quotes")
    if not content["rows"]:
        raise UserError(f"{path}: there must be rows")
    for row in content["rows"]:
        name = f"row {row['name']}" if isinstance(row, dict) and "name" in row else "a row"
        _check_keys(path, name, row, ("name", "recipe"), ("published", "depth", "family"))
        if not isinstance(row["recipe"], str):
            raise UserError(f"{path}: {name}: recipe must be a recipe's name, got {row['recipe']}")
        published = row.get("published", {})
        _check_keys(path, f"{name}: published", published, (), PUBLISHED)
        numbers = (value for key, value in published.items() if key not in TEXTS)
        for value in numbers:
            ends = value if isinstance(value, list) and len(value) == 2 else [value]
            if not all(end is None or isinstance(end, int | float) for end in ends):
                raise UserError(f"{path}: {name}: {value} must be a number, or [lowest, highest]")
    names = [row["name"] for row in content["rows"]]
    for name in names:
        if not isinstance(name, str) or not slug(name) or name.startswith("_") or "$" in name:
            raise UserError(
                f"{path}: {name}: a row's name must have letters or digits, no $, and no _ in front"
            )
    for name in names:
        if [slug(other) for other in names].count(slug(name)) > 1:
            raise UserError(f"{path}: {name}: another row's name is too much like it")
    for pair in content.get("pairs", ()):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UserError(f"{path}: {pair} must be a pair of rows")
        for name in pair:
            if name not in names:
                raise UserError(f"{path}: pairs: there is no row {name}{suggest(name, names)}")
    for column in content.get("columns", ()):
        if column not in EXTRA:
            raise UserError(f"{path}: there is no column {column}{suggest(column, EXTRA)}")
    for key in ("depth", "family"):
        if len({key in row for row in content["rows"]}) > 1:
            raise UserError(f"{path}: {key} must be in every row or in none")


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


def slug(name: str) -> str:
    """A row's name as part of a file's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
