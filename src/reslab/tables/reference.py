"""Reference records: finished runs kept with the repository, found by table, row and seed."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from reslab.errors import UserError
from reslab.runs.identity import WITHOUT_EFFECT, differing_keys, hashed_config
from reslab.runs.store import RunDirectory
from reslab.tables.collect import Result, look_up
from reslab.tables.plan import Cell, Table
from reslab.tables.publication import slug

FILES = ("metrics.csv", "gradients.csv", "predictions.npz")
DIGESTS = "SHA256SUMS"
PLACES = {"runs_dir": "outputs/runs", "data_dir": "data", "dataset.data_dir": "data"}


def kept_as(cell: Cell, table: Table, folder: Path) -> Cell:
    """The cell where its record is kept: `<folder>/<table>/<data set>/runs/<row>-s<seed>`."""
    name = f"{slug(cell.row.name)}-s{cell.seed}"
    return replace(cell, directory=RunDirectory(folder / table.place / "runs" / name))


def keep_records(table: Table, results: list[Result], folder: Path) -> list[Path]:
    """Copies the finished cells' records, without weights, events and names of folders.

    Returns:
        Where they now lie.

    Raises:
        UserError: The recipes were altered, or the record of another configuration lies there.
    """
    if table.alterations and not table.quick:
        raise UserError(
            f"--keep is for the recipes as they are: leave out {' '.join(table.alterations)}"
        )
    kept = []
    for result in results:
        if result.record:
            source, target = result.cell.directory, kept_as(result.cell, table, folder).directory
            there = target.record()
            if there and there.identity != result.record.identity:
                keys = differing_keys(result.cell.config, hashed_config(target.config()))
                raise UserError(
                    f"{target.path} is the record of another configuration, which differs in "
                    f"{', '.join(keys)}: delete it first, if it is to be replaced"
                )
            target.path.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(source.path / name, target.path / name)
            cfg = source.config()
            for key, usual in PLACES.items():
                OmegaConf.update(cfg, key, usual)
            target.config_file.write_text(OmegaConf.to_yaml(cfg))
            asked = tuple(
                o for o in result.record.overrides if o.partition("=")[0] not in WITHOUT_EFFECT
            )
            target.write_record(replace(result.record, overrides=asked))
            (target.path / DIGESTS).write_text(digests(target.path))
            kept.append(target.path)
    return kept


def digests(folder: Path) -> str:
    """SHA-256 of each file of a kept record, a line a file, as `sha256sum` writes them."""
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("config.yaml", "metrics.json", *FILES)
    )


def from_reference(table: Table, folder: Path) -> list[Result]:
    """The table's cells as the reference has them; those without a record are missing."""
    return [look_up(kept_as(cell, table, folder)) for cell in table.cells]
