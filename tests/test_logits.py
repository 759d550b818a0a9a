"""What tells the logits of one recipe's runs from those of others, on the committed records."""

import hashlib
from functools import cache
from itertools import combinations, permutations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pages import REFERENCE
from reslab.runs import predictions
from reslab.runs.store import RunDirectory
from reslab.tables import logits
from reslab.tables.logits import MARGIN, SEEDS_ALIKE, likeness

TABLES = ("liu_goh/cifar10", "liu_goh/digits", "system/mnist+cifar10", "virakden/mnist")
ALIKE_TOO = {"mini-resnet", "resnet-18-skip"}  # of which the number of parameters differs


@cache
def kept(table: str) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Row to the logits and labels of each of its seeds."""
    rows: dict[str, list] = {}
    for path in sorted((REFERENCE / table / "runs").iterdir()):
        found = predictions.read(path / "predictions.npz")[:2]
        rows.setdefault(path.name.rpartition("-s")[0], []).append(found)
    return rows


def least_alike(table, row):
    path = REFERENCE / table / "runs" / f"{row}-s0"
    named = SimpleNamespace(name=row)  # a slug's slug is itself
    cell = SimpleNamespace(row=named, directory=RunDirectory(path))
    return logits.least_alike(logits.kept_seeds(cell))


def faults(ours, theirs, labels, least=SEEDS_ALIKE):
    return likeness(ours, theirs, labels).faults(least)


def shuffled_within_classes(values, labels):
    order, rng = np.arange(len(labels)), np.random.default_rng(0)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        order[mine] = rng.permutation(mine)
    return values[order]


def test_likeness_is_pearson_s_correlation_beyond_the_labels_and_a_ratio_of_sizes():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=50)
    ours, theirs = rng.normal(size=(2, 50, 5)) + 3 * np.eye(5)[labels]
    theirs += ours + rng.normal(size=(50, 1))
    flat = []
    for values in (ours, theirs):
        frame = pd.DataFrame(values).sub(pd.DataFrame(values).mean(axis=1), axis=0)
        flat.append((frame, frame - frame.groupby(labels).transform("mean")))
    found = likeness(ours, theirs, labels)
    expected = np.corrcoef(flat[0][1].to_numpy().ravel(), flat[1][1].to_numpy().ravel())[0, 1]
    assert found.correlation == pytest.approx(expected)
    assert 0.3 < expected < 0.95
    sizes = [frame.stack().std(ddof=0) for frame, _ in flat]
    assert found.size == pytest.approx(sizes[0] / sizes[1])


@pytest.mark.parametrize("table", TABLES)
def test_the_kept_seeds_of_a_row_pass_for_each_other_and_shuffled_images_do_not(table):
    for row, seeds in kept(table).items():
        if len(seeds) < 2:
            assert least_alike(table, row) == SEEDS_ALIKE
            continue
        pairs = list(combinations(seeds, 2))
        found = [likeness(ours, theirs, labels) for (ours, labels), (theirs, _) in pairs]
        correlations = [one.correlation for one in found]
        assert max(correlations) - min(correlations) < MARGIN
        assert min(correlations) > SEEDS_ALIKE
        least = least_alike(table, row)
        assert least == min(correlations) - MARGIN
        assert [fault for one in found for fault in one.faults(least)] == []
        for (ours, labels), (theirs, _) in pairs:
            shuffled = shuffled_within_classes(ours, labels)
            assert (shuffled.argmax(1) == labels).sum() == (ours.argmax(1) == labels).sum()
            for one in (shuffled, np.zeros_like(ours) + ours[0], -ours):
                assert faults(one, theirs, labels)


def test_networks_of_other_rows_fail_but_for_two_that_are_as_alike_as_seeds():
    """Those two have other numbers of parameters, which `verify` compares too."""
    rows = kept("liu_goh/cifar10")
    for row, other in permutations(rows, 2):
        least = least_alike("liu_goh/cifar10", row)
        for (ours, labels), (theirs, _) in zip(rows[other], rows[row], strict=True):
            passes = not faults(ours, theirs, labels, least)
            assert not passes or {row, other} == ALIKE_TOO, (row, other)


def test_rounding_passes_and_another_temperature_fails():
    ours, labels = kept("liu_goh/cifar10")["resnet-18-skip"][0]
    noise = np.random.default_rng(0).normal(size=ours.shape)
    rounded = (ours * (1 + noise / 2**8)).astype(ours.dtype)  # a bfloat16 has eight bits
    assert not faults(rounded, ours, labels, 0.99)
    assert "times the size" in faults(2 * ours, ours, labels)[0]
    assert "times the size" in faults(ours / 2, ours, labels)[0]
    for spoilt in (np.nan, np.inf):
        broken = ours.copy()
        broken[5, 3] = spoilt
        assert len(faults(broken, ours, labels)) == 2


def test_a_damaged_and_a_changed_seed_say_nothing_of_a_row_s_seeds(tmp_path):
    def keep(seed, content, digest_of=None):
        folder = tmp_path / f"row-s{seed}"
        folder.mkdir()
        (folder / "predictions.npz").write_bytes(content)
        digest = hashlib.sha256(digest_of or content).hexdigest()
        (folder / "SHA256SUMS").write_text(f"{digest}  predictions.npz\n")
        return RunDirectory(folder)

    named = SimpleNamespace(name="row")
    folders = sorted((REFERENCE / "virakden/mnist/runs").iterdir())
    first, second, third = ((path / "predictions.npz").read_bytes() for path in folders[:3])
    directory = keep(0, first)
    keep(1, b"damaged before it was kept")
    keep(2, third, digest_of=b"what it was")
    found = logits.kept_seeds(SimpleNamespace(row=named, directory=directory))
    assert [one.name for one in found] == ["row-s0", "row-s1"]
    assert logits.least_alike(found) == SEEDS_ALIKE
    found.append(keep(3, second))
    (ours, labels), (theirs, _) = kept("virakden/mnist")["resnet-18"][:2]
    assert logits.least_alike(found) == likeness(ours, theirs, labels).correlation - MARGIN
