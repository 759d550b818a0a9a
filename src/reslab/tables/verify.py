"""Fresh runs beside the committed records, cell by cell: what they say, and their logits."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reslab.analysis.summary import count_parameters
from reslab.errors import UserError
from reslab.runs.check import try_network
from reslab.runs.diff import ENVIRONMENT
from reslab.runs.identity import differing_keys, hashed_config, identity
from reslab.runs.network import build_network
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory
from reslab.tables.collect import Result, look_up
from reslab.tables.finished import FinishedRun, contradictions, differing, read_finished
from reslab.tables.logits import (
    SIZES,
    changed_bits,
    kept_seeds,
    least_alike,
    likeness,
    other_images,
)
from reslab.tables.plan import Cell, Table, load_table
from reslab.tables.reference import changes, half_kept, kept_as

PASS, FAIL, MISSING = "PASS", "FAIL", "MISSING"
BITS_DEPEND_ON = tuple(key for key in ENVIRONMENT if key != "git")
ACCURACIES = ("test/accuracy", "last/test/accuracy", "val/accuracy")
EXACT = ("parameters", "macs")
SEEDS_DIFFER = 0.02  # by which two seeds of a row may, where no two are kept that differ by more
COMPARED = (
    f"Compared with a run at hand: {', '.join((*ACCURACIES, *EXACT))}; the labels of the test "
    "images, in their order; their logits. In the record's own environment, on a CPU, all are the "
    "same to the bit. Elsewhere accuracies are within the tolerance, logits correlate beyond what "
    "the labels say about as the row's kept seeds do with each other (found, and asked for), and "
    f"their size is within a factor of {SIZES}."
)


@dataclass(frozen=True)
class Verdict:
    """What is said of a cell.

    Attributes:
        row: Its row's name.
        seed: Its seed.
        record: Whether the committed record says what its own predictions, history and
            configuration say.
        fresh: Whether a run at hand agrees with it; empty where there is no record to compare.
        tolerance: The largest difference of an accuracy that passes, 0 where logits must be the
            same to the bit, None where nothing was compared.
        correlation: How far the logits agree beyond the labels, see `logits.Likeness`; None where
            they must be the same to the bit, or cannot be compared.
        least: The correlation from which on they pass; None likewise.
        reasons: What fails, and by how much.
    """

    row: str
    seed: int
    record: str
    fresh: str
    tolerance: float | None
    reasons: tuple[str, ...]
    correlation: float | None = None
    least: float | None = None


@dataclass(frozen=True)
class Verification:
    """What is said of a table's cells, one by one."""

    table: Table
    verdicts: tuple[Verdict, ...]

    @property
    def failed(self) -> int:
        """How many cells fail."""
        return sum(FAIL in (verdict.record, verdict.fresh) for verdict in self.verdicts)


def verify(
    name: str, overrides: Sequence[str] = (), *, quick: bool = False, reference: Path
) -> Verification:
    """Compares the runs at hand with records that were kept, found by table, row and seed.

    Args:
        name: The table's name.
        overrides: Hydra's, for every cell.
        quick: Whether at the small scale that the table's file names.
        reference: The folder with the records.

    Raises:
        UserError: There is no such table or folder, or an override is wrong.
    """
    table = load_table(name, overrides, quick=quick)
    if not reference.is_dir():
        raise UserError(f"{reference} is not a folder with records")
    verdicts = (_verdict(look_up(cell), kept_as(cell, table, reference)) for cell in table.cells)
    return Verification(table, tuple(verdicts))


def _verdict(fresh: Result, kept: Cell) -> Verdict:
    row, seed = kept.row.name, kept.seed
    at_hand, reasons = "" if fresh.record else MISSING, []
    if fresh.state == "damaged":
        at_hand, reasons = FAIL, [f"the run at hand is damaged: {fresh.reason}"]
    try:
        committed = read_finished(kept)
        if committed is None:
            if lost := half_kept(kept):
                raise UserError(lost)
            return Verdict(row, seed, MISSING, at_hand, None, tuple(reasons))
        contradicted = _contradictions(committed)
    except UserError as error:
        reasons.insert(0, f"cannot be compared: {error}")
        return Verdict(row, seed, FAIL, at_hand, None, tuple(reasons))
    state = FAIL if contradicted else PASS
    if fresh.run is None:
        return Verdict(row, seed, state, at_hand, None, (*contradicted, *reasons))
    return _compared(fresh.run, committed, state, contradicted)


def _compared(
    fresh: FinishedRun, committed: FinishedRun, state: str, contradicted: list[str]
) -> Verdict:
    row, seed = committed.cell.row.name, committed.cell.seed
    same_bits = _is_its_environment(fresh.record, committed.record)
    seeds = [] if same_bits else kept_seeds(committed.cell)
    tolerance = 0.0 if same_bits else _tolerance(committed, seeds)
    reasons = _differences(fresh.record, committed.record, tolerance)
    correlation = least = None
    names = committed.class_names
    if other := other_images(fresh.labels, committed.labels, fresh.class_names, names):
        reasons.append(other)
    elif same_bits:
        if changed := changed_bits(fresh.logits, committed.logits, names):
            reasons.append(changed)
    else:
        alike = likeness(fresh.logits, committed.logits, committed.labels)
        correlation, least = alike.correlation, least_alike(seeds)
        reasons += alike.faults(least)
    at_hand = FAIL if reasons else PASS
    said = (*contradicted, *reasons)
    return Verdict(row, seed, state, at_hand, tolerance, said, correlation, least)


def _contradictions(committed: FinishedRun) -> list[str]:
    """Where a record differs from its recipe, and from what can be worked out anew beside it."""
    record, cfg = committed.record, committed.cfg
    found = contradictions(committed)
    # Else nothing says which network it had, or it is a stranger's, of whatever size.
    if identity(cfg) == record.identity == committed.cell.identity:
        network = build_network(cfg)
        expected = {
            "parameters": count_parameters(network),
            "macs": sum(layer.macs for layer in try_network(cfg, network)),
        }
        found += differing(record, expected)
    if record.identity != committed.cell.identity:
        keys = differing_keys(committed.cell.config, hashed_config(cfg))
        found.append(f"it is of another configuration than asked for: {', '.join(keys)} differ")
    if changed := changes(committed.cell.directory.path):
        found.append(f"{changed}; --keep copies it again")
    return found


def _is_its_environment(fresh: Record, committed: Record) -> bool:
    """Whether every bit should be the same."""
    ours, theirs = fresh.provenance, committed.provenance
    same = all(getattr(ours, key) == getattr(theirs, key) for key in BITS_DEPEND_ON)
    is_known = theirs.cpu_capability is not None  # which older records do not say
    return same and is_known and ours.exact and theirs.exact and ours.device == "cpu"


def _tolerance(committed: FinishedRun, seeds: Sequence[RunDirectory]) -> float:
    accuracies = []
    for run in seeds:
        with contextlib.suppress(UserError):  # its own cell says so
            if record := run.record():
                accuracies.append(record.test_accuracy)
    return tolerance_elsewhere(committed.record, len(committed.labels), accuracies)


def tolerance_elsewhere(committed: Record, images: int, seeds: Sequence[float]) -> float:
    """The largest difference of an accuracy that passes on another machine, a fraction.

    What another machine's rounding makes of a run may be as far from it as another seed: so chance
    over the test images, and the most by which the row's kept seeds differ, or `SEEDS_DIFFER`.

    Args:
        committed: The record.
        images: How many test images it is of.
        seeds: Test accuracies of the row's kept seeds, its own among them.
    """
    p = committed.test_accuracy
    by_seed = max(SEEDS_DIFFER, max(seeds, default=0.0) - min(seeds, default=0.0))
    return 3 * float(np.sqrt(2 * p * (1 - p) / images)) + by_seed


def _differences(fresh: Record, committed: Record, tolerance: float) -> list[str]:
    ours, theirs = fresh.as_json(), committed.as_json()
    return [
        f"{key} of the run at hand is {ours[key]:.6g}, not {theirs[key]:.6g}"
        for keys, allowed in ((ACCURACIES, tolerance), (EXACT, 0.0))
        for key in keys
        if abs(ours[key] - theirs[key]) > allowed
    ]
