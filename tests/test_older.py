"""Of older code a table says what was seen, and nothing else."""

import json
import shutil
from types import SimpleNamespace

import pytest

import same_bits
from conftest import REPOSITORY
from reslab.runs import older
from reslab.runs.older import Trial
from reslab.runs.sources import code_digest
from reslab.tables.remarks import remarks_on_older_code

RECIPE = "liu_goh/baseline_cnn"
CONTENT = {
    "code_digest": code_digest(),
    "date": "2024-05-01",
    "hardware": "a processor, 2 cores",
    "overrides": ["dataset=digits", "++max_steps=24"],
    "older": {"1" * 64: {"commit": "abc", "recipes": ["one", "two"]}},
}


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """Writes down what was seen, and has it asked."""
    path = tmp_path / "same_bits.json"

    def write(**changes):
        path.write_text(json.dumps(CONTENT | changes))
        return path

    monkeypatch.setattr(Trial.of.__func__, "__defaults__", (write(),))
    return write


def record(recipe, digest):
    return SimpleNamespace(recipe=recipe, provenance=SimpleNamespace(code_digest=digest))


def test_what_was_seen_of_older_code_counts_as_long_as_today_s_is_what_it_was(seen):
    trial = Trial.of("1" * 64)
    assert (trial.date, trial.recipes) == ("2024-05-01", ("one", "two"))
    assert Trial.of("2" * 64) is None
    seen(code_digest="3" * 64)
    assert Trial.of("1" * 64) is None


def test_a_table_says_what_is_known_of_the_code_of_its_runs(seen):
    same, other = "1" * 64, "2" * 64
    assert remarks_on_older_code([record("one", code_digest())]) == []
    known, unknown = remarks_on_older_code(
        [
            *(record("one", code_digest()), record("one", same), record("two", same)),
            *(record("three", same), record("one", other)),
        ]
    )
    assert known == (
        "2 of 5 runs were trained by older code. On 2024-05-01 it and today's trained their "
        "recipes to the same bits, cut to dataset=digits max_steps=24, on a processor, 2 cores; "
        "other hardware and precisions were not compared."
    )
    assert unknown == (
        "2 of 5 runs were trained by older code; whether it computes something else is not known."
    )
    seen(code_digest="3" * 64)
    assert remarks_on_older_code([record("one", same)]) == [
        "1 of 1 runs were trained by older code; whether it computes something else is not known."
    ]


def test_what_is_written_down_is_of_records_that_are_kept():
    """Whether it is of today's code or of what that was before."""
    content = json.loads(older.SEEN.read_text())
    kept = same_bits.recipes_of_older_code()
    for digest, one in content["older"].items():
        assert set(one["recipes"]) <= kept[digest]
    assert set(content) == set(CONTENT)


@pytest.mark.long
def test_the_comparison_sees_what_computes_something_else_and_no_more(tmp_path):
    runs = {}
    for name in ("today", "moved", "changed"):
        tree = tmp_path / name
        for part in ("src", "conf"):
            shutil.copytree(REPOSITORY / part, tree / part)
        path = tree / "src/reslab/nn/cnn.py"
        text = path.read_text()
        if name == "moved":
            path.write_text(text + "\n\ndef _unused() -> None: ...\n")
        if name == "changed":
            assert "nn.ReLU(inplace=True)" in text
            path.write_text(text.replace("nn.ReLU(inplace=True)", "nn.LeakyReLU(0.01)"))
        (runs[name],) = same_bits.train(tree, tmp_path / f"{name}-runs", {RECIPE}).values()
    assert same_bits.differences(runs["today"], runs["moved"]) == []
    assert same_bits.differences(runs["today"], runs["changed"]) == [
        *("logits", "weights", "curves", "gradients"),
    ]
    records = {name: json.loads((run / "metrics.json").read_text()) for name, run in runs.items()}
    digests = {name: one["code_digest"] for name, one in records.items()}
    assert len({*digests.values()}) == 3
    assert same_bits.digest_of(tmp_path / "moved", tmp_path / "asked") == digests["moved"]


def test_what_is_written_down_is_of_today_s_code():
    """Else the committed tables say of their runs' code what is not known any more."""
    seen = json.loads(older.SEEN.read_text())
    assert seen["code_digest"] == code_digest(), "`make same-bits`, then `make readme`"
    assert same_bits.recipes_of_older_code().keys() <= seen["older"].keys()
