"""Reference records: finished runs kept with the repository, found by table, row and seed."""

import hashlib
from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf

from reslab.errors import UserError
from reslab.files import remove_leftovers, write_atomically
from reslab.runs.identity import WITHOUT_EFFECT, differing_keys, hashed_config
from reslab.runs.store import RunDirectory
from reslab.tables.collect import Result, look_up
from reslab.tables.finished import FinishedRun, read_finished
from reslab.tables.plan import Cell, Table
from reslab.tables.publication import slug

FILES = ("metrics.csv", "gradients.csv", "predictions.npz")
DIGESTS = "SHA256SUMS"
KEPT = ("config.yaml", "metrics.json", *FILES, DIGESTS)
PLACES = {"runs_dir": "outputs/runs", "data_dir": "data", "dataset.data_dir": "data"}


def kept_as(cell: Cell, table: Table, folder: Path) -> Cell:
    """The cell where its record is kept: `<folder>/<table>/<data set>/runs/<row>-s<seed>`."""
    name = f"{slug(cell.row.name)}-s{cell.seed}"
    return replace(cell, directory=RunDirectory(folder / table.place / "runs" / name))


def keep_records(table: Table, results: list[Result], folder: Path) -> list[Path]:
    """Copies the finished cells' records, without weights, events and names of folders.

    The list of digests comes last: what has none, or one that does not fit, was kept by half.

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
    for run in (result.run for result in results if result.run):
        target = kept_as(run.cell, table, folder)
        _refuse_another(target, run)
        copy_record(run, target.directory)
        kept.append(target.directory.path)
    return kept


def _refuse_another(target: Cell, run: FinishedRun) -> None:
    try:
        there = read_finished(target)
    except UserError:  # damaged, or kept by half: it is to be made whole
        return
    if there and there.record.identity != run.record.identity:
        raise _another(there, run.cell)


def _another(there: FinishedRun, wanted: Cell) -> UserError:
    keys = ", ".join(differing_keys(wanted.config, hashed_config(there.cfg)))
    return UserError(
        f"{there.cell.directory.path} is the record of another configuration, which differs in "
        f"{keys}: delete it first, if it is to be replaced"
    )


def copy_record(run: FinishedRun, target: RunDirectory) -> None:
    """Copies a finished run's record, as `keep_records` does."""
    target.path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.path)
    for name in FILES:
        source = run.cell.directory.path / name
        if source.exists():  # gradients were not always kept
            write_atomically(target.path / name, source.read_bytes())
    cfg = run.cfg.copy()
    for key, usual in PLACES.items():
        OmegaConf.update(cfg, key, usual)
    if "content" in cfg.dataset:  # by which its pictures are known, wherever they lie
        cfg.dataset.root = cfg.dataset.name
    write_atomically(target.config_file, OmegaConf.to_yaml(cfg).encode())
    asked = tuple(o for o in run.record.overrides if o.partition("=")[0] not in WITHOUT_EFFECT)
    target.write_record(replace(run.record, overrides=asked))
    lines = (f"{digest}  {name}\n" for name, digest in _digests(target.path).items())
    write_atomically(target.path / DIGESTS, "".join(lines).encode())


def changes(folder: Path) -> str:
    """What is not as it was when a record was kept, empty where all is."""
    try:
        lines = [line.split() for line in (folder / DIGESTS).read_text().splitlines()]
        said = {name: digest for digest, name in lines}
    except (OSError, ValueError):
        return f"{DIGESTS} is missing or damaged"
    found = _digests(folder)
    names = [name for name in sorted(said | found) if said.get(name) != found.get(name)]
    return f"{', '.join(names)}: changed since the record was kept" if names else ""


def half_kept(cell: Cell) -> str:
    """What is said where only parts of a record are kept, without what it says; else empty."""
    folder = cell.directory.path
    if not any((folder / name).exists() for name in KEPT):
        return ""
    return f"{cell.directory.record_file} is missing; --keep copies it again"


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a kept record, as `sha256sum` gives it."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("config.yaml", "metrics.json", *FILES)
        if (folder / name).exists()
    }


def from_reference(table: Table, folder: Path) -> list[Result]:
    """The table's cells as the reference has them; those without a record are missing."""
    return [_look_up(kept_as(cell, table, folder)) for cell in table.cells]


def known(table: Table, folder: Path) -> set[str]:
    """Identities of the cells whose records are kept.

    Raises:
        UserError: A record that is kept there is another configuration's.
    """
    runs = [result.run for result in from_reference(table, folder) if result.run]
    for run in runs:
        if run.record.identity != run.cell.identity:
            raise _another(run, run.cell)
    return {run.cell.identity for run in runs}


def _look_up(cell: Cell) -> Result:
    if not cell.directory.record_file.exists():  # nothing runs there, whatever else there is
        lost = half_kept(cell)
        return Result(cell, "damaged" if lost else "missing", reason=lost)
    result, changed = look_up(cell), changes(cell.directory.path)
    if result.run and changed:
        reason = f"{cell.directory.path}: {changed}; --keep copies it again"
        return Result(cell, "damaged", reason=reason)
    return result
