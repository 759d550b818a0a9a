"""Fresh records beside the committed ones, cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reslab.analysis.summary import count_parameters
from reslab.config import instantiate
from reslab.errors import UserError
from reslab.runs.finish import score
from reslab.runs.identity import differing_keys, hashed_config
from reslab.runs.record import Record
from reslab.runs.request import try_network
from reslab.tables.collect import Result, collect
from reslab.tables.plan import Table, load_table
from reslab.tables.reference import DIGESTS, digests, from_reference

PASS, FAIL, MISSING = "PASS", "FAIL", "MISSING"
ENVIRONMENT = ("hardware", "precision", "threads", "versions", "code_digest", "data_digest")
ACCURACIES = ("test/accuracy", "last/test/accuracy", "val/accuracy")
EXACT = ("parameters", "macs")
SEEDS_DIFFER = 0.02  # what another machine's rounding makes of a run, as if it were another seed


@dataclass(frozen=True)
class Verdict:
    """What is said of a cell.

    Attributes:
        row: Its row's name.
        seed: Its seed.
        record: Whether the committed record says what its own predictions, history and
            configuration say.
        fresh: Whether a run at hand agrees with it; empty where there is no record to compare.
        tolerance: The largest difference of an accuracy that passes, None where none was compared.
        reasons: What fails, and by how much.
    """

    row: str
    seed: int
    record: str
    fresh: str
    tolerance: float | None
    reasons: tuple[str, ...]


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
    pairs = zip(collect(table), from_reference(table, reference), strict=True)
    return Verification(table, tuple(_verdict(ours, committed) for ours, committed in pairs))


def _verdict(fresh: Result, committed: Result) -> Verdict:
    row, seed = committed.cell.row.name, committed.cell.seed
    at_hand = MISSING if fresh.record is None else ""
    tolerance = None
    try:
        if committed.record is None:
            return Verdict(row, seed, MISSING, at_hand, None, ())
        reasons = _contradictions(committed)
        differences: list[str] = []
        if fresh.record is not None:
            labels = committed.predictions.labels
            tolerance = _tolerance(fresh.record, committed.record, len(labels))
            differences = _differences(fresh.record, committed.record, tolerance)
            at_hand = FAIL if differences else PASS
    except (UserError, OSError, KeyError, IndexError, ValueError) as error:
        text = f"cannot be compared: {type(error).__name__}: {error}"
        return Verdict(row, seed, FAIL, at_hand, None, (text,))
    state = FAIL if reasons else PASS
    return Verdict(row, seed, state, at_hand, tolerance, (*reasons, *differences))


def _contradictions(committed: Result) -> list[str]:
    """Where a record differs from its recipe, and from what can be worked out anew beside it."""
    record, directory = committed.record, committed.cell.directory
    assert record is not None
    said = record.as_json()
    logits, labels, _ = directory.predictions()
    test = score(logits, labels)
    history = pd.read_csv(directory.metrics_file)
    best, last = history.iloc[record.best_epoch - 1], history.iloc[-1]
    cfg = directory.config()
    network = instantiate(cfg, "model")
    expected = {
        "test/accuracy": test["accuracy"],
        "test/loss": test["loss"],
        "val/accuracy": best["val/accuracy"],
        "val/loss": best["val/loss"],
        "train/accuracy": last["train/accuracy"],
        "train/loss": last["train/loss"],
        "epochs": len(history),
        "seconds": history["seconds"].sum(),
        "epoch_seconds": history["seconds"].median(),
        "parameters": count_parameters(network),
        "macs": sum(layer.macs for layer in try_network(cfg, network)),
    }
    found = [
        f"{key} is {said[key]:.6g}, and {value:.6g} by the files beside it"
        for key, value in expected.items()
        if not np.isclose(said[key], value, rtol=1e-6, atol=0, equal_nan=True)
    ]
    if record.identity != committed.cell.identity:
        keys = differing_keys(committed.cell.config, hashed_config(cfg))
        found.append(f"it is of another configuration than asked for: {', '.join(keys)} differ")
    kept = (directory.path / DIGESTS).read_text().splitlines()
    changed = set(digests(directory.path).splitlines()) - set(kept)
    if changed:
        names = ", ".join(sorted(line.split()[1] for line in changed))
        found.append(f"{names}: changed since the record was kept")
    return found


def _tolerance(fresh: Record, committed: Record, images: int) -> float:
    """0 where every bit should be the same; else chance over test images, and that of a seed."""
    ours, theirs = fresh.provenance, committed.provenance
    same = all(getattr(ours, key) == getattr(theirs, key) for key in ENVIRONMENT)
    if same and ours.exact and theirs.exact and ours.device == "cpu":
        return 0.0
    p = committed.test_accuracy
    return 3 * float(np.sqrt(2 * p * (1 - p) / images)) + SEEDS_DIFFER


def _differences(fresh: Record, committed: Record, tolerance: float) -> list[str]:
    ours, theirs = fresh.as_json(), committed.as_json()
    return [
        f"{key} of the run at hand is {ours[key]:.6g}, not {theirs[key]:.6g}"
        for keys, allowed in ((ACCURACIES, tolerance), (EXACT, 0.0))
        for key in keys
        if abs(ours[key] - theirs[key]) > allowed
    ]
