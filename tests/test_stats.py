"""Intervals and tests of a difference, against scipy and against what they promise."""

import numpy as np
import pytest
from scipy import stats

from reslab.tables.columns import as_text, choose_of_pairs
from reslab.tables.remarks import remark_on
from reslab.tables.stats import compare, correct, holm, mcnemar, mean_interval

IMAGES = 400


def drawn(rng, seeds: int, gap: float = 0.1, spread: float = 0.05) -> dict:
    """Which images two models have right: they differ by `gap`, and by `spread` from seed to seed."""
    shares = [
        (0.6 + gap + rng.normal(0, spread), 0.6 + rng.normal(0, spread)) for _ in range(seeds)
    ]
    return {
        seed: tuple(rng.random(IMAGES) < share for share in pair)
        for seed, pair in enumerate(shares)
    }


@pytest.mark.parametrize("seeds", [1, 2, 4, 5, 8])
def test_each_interval_is_scipy_s(seeds):
    right = drawn(np.random.default_rng(seeds), seeds)
    pair = compare("a", "b", right)
    gaps = 100 * np.array([a.astype(float) - b for a, b in right.values()])
    images = stats.norm.interval(0.95, loc=gaps.mean(), scale=stats.sem(gaps.mean(0)))
    assert pair.image_interval == pytest.approx(images)
    if seeds == 1:
        assert pair.seed_interval is None
    else:
        ours, theirs = (100 * np.mean([one[at] for one in right.values()], 1) for at in (0, 1))
        expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
        assert pair.seed_interval == pytest.approx(np.clip(expected, -100, 100))
    assert (pair.joint_interval is None) == (seeds < 5)


def test_from_five_seeds_on_a_bootstrap_covers_seeds_and_images():
    right = drawn(np.random.default_rng(0), 6)
    gaps = 100 * np.array([a.astype(float) - b for a, b in right.values()])
    rng = np.random.default_rng(1)
    draws = [rng.choice(gaps[rng.integers(0, 6, 6)].mean(0), IMAGES).mean() for _ in range(4000)]
    pair = compare("a", "b", right)
    assert pair.joint_interval == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.5)
    assert pair.joint_interval[0] < pair.image_interval[0]
    assert pair.joint_interval[1] > pair.image_interval[1]


@pytest.mark.parametrize("seeds", [2, 3])
def test_an_interval_of_few_seeds_holds_what_it_promises_and_no_more(seeds):
    """In 19 of 20 experiments; the one over images does not hold what other seeds would give."""
    rng, over_seeds, over_images, wrongly = np.random.default_rng(seeds), 0, 0, 0
    for _ in range(600):
        shares = [(0.7 + rng.normal(0, 0.05), 0.6 + rng.normal(0, 0.05)) for _ in range(seeds)]
        right = {
            s: tuple(rng.random(IMAGES) < one for one in pair) for s, pair in enumerate(shares)
        }
        pair = compare("a", "b", right)
        of_these = 100 * np.mean([a - b for a, b in shares])
        over_seeds += pair.seed_interval[0] <= 10 <= pair.seed_interval[1]
        over_images += pair.image_interval[0] <= of_these <= pair.image_interval[1]
        wrongly += pair.image_interval[0] <= 10 <= pair.image_interval[1]
    assert over_seeds / 600 == pytest.approx(0.95, abs=0.03)
    assert over_images / 600 == pytest.approx(0.95, abs=0.03)
    assert wrongly / 600 < 0.85


@pytest.mark.parametrize(
    ("seeds", "columns", "said", "unsaid"),
    [
        (1, ["95 %, images"], "One seed says nothing of other seeds", "95 %, seeds"),
        (2, ["95 %, images", "95 %, seeds"], "With fewer than 5 seeds", "95 %, both"),
        (5, ["95 %, images", "95 %, seeds", "95 %, both"], "95 %, both: of other seeds", "fewer"),
    ],
)
def test_the_columns_and_their_note_go_by_the_number_of_seeds(seeds, columns, said, unsaid):
    pair = compare("a", "b", drawn(np.random.default_rng(0), seeds))
    headings, (row,) = as_text(choose_of_pairs([pair]))
    assert [heading for heading in headings if heading.startswith("95")] == columns
    assert "{:+.2f} to {:+.2f}".format(*pair.image_interval) in row
    note = remark_on([pair])
    assert said in note
    assert unsaid not in note
    for column in columns:
        assert f"{column}: " in note
    in_terminal, _ = as_text(choose_of_pairs([pair], terminal=True))
    assert [heading for heading in in_terminal if heading.startswith("95")] == columns[-1:]


def test_statistics_of_known_cases():
    assert mean_interval([1.0]) is None
    assert mean_interval([3.0, 3.0]) == (3.0, 3.0)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(10, 2) == pytest.approx(2 * sum(stats.binom.pmf(k, 12, 0.5) for k in range(3)))
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    same = np.array([True, False])
    one = compare("a", "b", {0: (same, same)})
    assert (one.difference, one.image_interval, one.p) == (0.0, (0.0, 0.0), (1.0,))


def test_seeds_that_contradict_each_other_are_no_evidence():
    one = np.arange(1000) < 60
    none = np.zeros(1000, dtype=bool)
    agree = compare("a", "b", {0: (one, none), 1: (one, none)})
    assert max(agree.p) == agree.adjusted_p < 1e-9
    contradict = compare("a", "b", {0: (one, none), 1: (none, one)})
    assert max(contradict.p) < 1e-9
    assert contradict.adjusted_p == 1.0


def test_holm_counts_the_pairs_that_are_not_run_yet():
    one = np.arange(100) < 5
    pair = compare("a", "b", {0: (one, np.zeros(100, dtype=bool))})
    assert correct([pair], 3)[0].adjusted_p == pytest.approx(3 * pair.p[0])
