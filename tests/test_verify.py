"""A run at hand beside a kept record: labels, logits, and what is said of them."""

import hashlib
import json
from types import SimpleNamespace

import numpy as np
import pytest

from reslab.cli import cli
from reslab.runs import predictions
from reslab.tables.collect import collect
from reslab.tables.plan import load_table
from reslab.tables.reference import from_reference, keep_records
from reslab.tables.verify import tolerance_elsewhere, verify
from synthetic import ON_DIGITS, compose_once, finish, own_table
from test_logits import shuffled_within_classes

TABLE = """
title: One network
seeds: [0]
rows:
  - {name: Residual, recipe: he2016/resnet20}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A finished run of a table's one cell, and its record."""
    monkeypatch.chdir(tmp_path)
    own_table(tmp_path, TABLE, monkeypatch)
    compose_once(monkeypatch)
    table = load_table("own", ON_DIGITS)
    finish(table.cells[0])
    keep_records(table, collect(table), tmp_path / "outputs/reference")
    return tmp_path


def at_hand():
    return load_table("own", ON_DIGITS).cells[0].directory.path


def kept(folder):
    return folder / "outputs/reference/own/digits/runs/residual-s0"


def verdict(folder):
    (one,) = verify("own", ON_DIGITS, reference=folder / "outputs/reference").verdicts
    return one


def rewrite(run, change, **record):
    """Changes a run's logits and labels; its record says what they come to."""
    logits, labels, names = predictions.read(run / "predictions.npz")
    logits, labels, *others = change(logits, labels)
    predictions.write(run / "predictions.npz", logits, labels, others[0] if others else names)
    exact = logits.astype(np.float64)
    each = np.log(np.exp(exact).sum(1)) - exact[np.arange(len(labels)), labels]
    accuracy = float((logits.argmax(1) == labels).mean())
    content = json.loads((run / "metrics.json").read_text())
    same = {"epoch": content["best_epoch"], "test/accuracy": accuracy}
    content |= {"test/loss": float(each.mean()), "test/accuracy": accuracy}
    content |= {"last/test/accuracy": accuracy, "choices": dict.fromkeys(content["choices"], same)}
    content |= record
    (run / "metrics.json").write_text(json.dumps(content))


def one_logit(logits, labels):
    logits[17, 4] += 0.25
    return logits, labels


def elsewhere(folder, change):
    """The verdict on a run at hand of another machine."""
    rewrite(at_hand(), change, threads=64)
    one = verdict(folder)
    assert one.record == "PASS"
    return one


def test_in_the_same_environment_one_logit_of_the_run_at_hand_fails_by_its_image(folder):
    assert (verdict(folder).fresh, verdict(folder).tolerance) == ("PASS", 0)
    before = predictions.read(kept(folder) / "predictions.npz")[0]
    rewrite(at_hand(), one_logit)
    one = verdict(folder)
    assert (one.record, one.fresh) == ("PASS", "FAIL")
    (reason,) = one.reasons
    assert "differ for 1 of 200 test images, first for test image 17 (from 0)" in reason
    value = float(before[17, 4])
    assert f"{value + 0.25:.3f}"[:4] in reason
    assert f"for 4, not {value:.3f}"[:-1] in reason


def test_one_logit_of_the_kept_record_fails_beside_a_run_at_hand_whoever_mends_its_digests(folder):
    rewrite(kept(folder), one_logit)
    reasons = " ".join(verdict(folder).reasons)
    assert "metrics.json, predictions.npz: changed since the record was kept" in reasons
    lines = (kept(folder) / "SHA256SUMS").read_text().splitlines()
    names = [line.split()[1] for line in lines]
    mended = [hashlib.sha256((kept(folder) / name).read_bytes()).hexdigest() for name in names]
    text = "".join(f"{digest}  {name}\n" for digest, name in zip(mended, names, strict=True))
    (kept(folder) / "SHA256SUMS").write_text(text)
    one = verdict(folder)
    assert (one.record, one.fresh) == ("PASS", "FAIL")
    assert "first for test image 17" in one.reasons[0]


def test_one_logit_of_the_kept_record_fails_beside_no_run_at_all(folder):
    rewrite(kept(folder), one_logit)
    for path in at_hand().iterdir():
        if path.is_file():
            path.unlink()
    assert (verdict(folder).record, verdict(folder).fresh) == ("FAIL", "MISSING")


def test_the_same_bits_are_asked_for_a_negative_zero_is_no_zero(folder):
    def zero(logits, labels):
        logits[3, 2] = 0.0
        return logits, labels

    def negative(logits, labels):
        logits[3, 2] = -0.0
        return logits, labels

    rewrite(at_hand(), zero)
    table = load_table("own", ON_DIGITS)
    keep_records(table, collect(table), folder / "outputs/reference")
    assert verdict(folder).fresh == "PASS"
    rewrite(at_hand(), negative)
    assert "first for test image 3 " in verdict(folder).reasons[0]


@pytest.mark.parametrize("same", [True, False])
def test_other_images_labels_and_classes_fail_wherever(folder, same):
    def swapped(logits, labels):
        at = int(np.flatnonzero(labels != labels[0])[0])
        order = np.arange(len(labels))
        order[[0, at]] = [at, 0]
        return logits[order], labels[order]

    def fewer(logits, labels):
        return logits[:-1], labels[:-1]

    def renamed(logits, labels):
        return logits, labels, [f"digit {number}" for number in range(10)]

    elsewhere_or_not = {} if same else {"threads": 64}
    whole = {path: path.read_bytes() for path in at_hand().iterdir() if path.is_file()}
    for change, said in (
        (swapped, "on other images or in another order: test image 0 is labeled"),
        (fewer, "was tested on 199 images, not on 200"),
        (renamed, "was tested on other classes"),
    ):
        rewrite(at_hand(), change, **elsewhere_or_not)
        one = verdict(folder)
        assert one.fresh == "FAIL", change
        assert any(said in reason for reason in one.reasons)
        assert one.correlation is None
        for path, content in whole.items():
            path.write_bytes(content)


@pytest.mark.parametrize(("ours", "theirs"), [("AVX2", "AVX512"), ("AVX2", None), (None, None)])
def test_processors_of_one_name_and_other_instructions_are_not_asked_for_the_same_bits(
    folder, ours, theirs
):
    """Nor is one that a record of an older version does not tell."""
    rewrite(kept(folder), lambda *same: same, cpu_capability=theirs)
    rewrite(at_hand(), one_logit, cpu_capability=ours)
    assert verdict(folder).fresh == "PASS"
    for run in (kept(folder), at_hand()):
        rewrite(run, lambda *same: same, cpu_capability="AVX2")
    assert verdict(folder).fresh == "FAIL"
    rewrite(at_hand(), lambda *same: same, world_size=2)
    assert verdict(folder).fresh == "PASS"


def test_what_a_record_says_twice_of_an_epoch_s_test_is_the_same(folder):
    """The logits of one epoch alone are kept: of the others nothing but the record says it."""
    content = json.loads((kept(folder) / "metrics.json").read_text())
    assert content["best_epoch"] == content["epochs"]
    last, choices = content["last/test/accuracy"], content["choices"]
    assert verdict(folder).record == "PASS"
    for altered, said in (
        ({"last/test/accuracy": last + 0.005}, "last/test/accuracy is"),
        (
            {"choices": choices | {"val/loss": choices["val/loss"] | {"test/accuracy": 1.0}}},
            "test/accuracy by val/loss is 1, and",
        ),
    ):
        rewrite(kept(folder), lambda *same: same, **altered)
        assert any(reason.startswith(said) for reason in verdict(folder).reasons), altered
        rewrite(kept(folder), lambda *same: same, **content)


def test_elsewhere_rounding_passes(folder):
    def rounded(logits, labels):
        noise = np.random.default_rng(0).normal(size=logits.shape) / 2**7
        return (logits * (1 + noise)).astype(logits.dtype), labels

    one = elsewhere(folder, rounded)
    assert (one.fresh, one.reasons) == ("PASS", ())
    assert one.tolerance > 0
    assert 0.99 < one.correlation < 1


def test_elsewhere_shuffled_images_fail_with_the_same_accuracy(folder):
    one = elsewhere(
        folder, lambda logits, labels: (shuffled_within_classes(logits, labels), labels)
    )
    assert one.fresh == "FAIL"
    (reason,) = one.reasons
    assert "correlate with the kept ones by" in reason
    assert abs(one.correlation) < 0.2


def test_elsewhere_a_constant_fails(folder):
    one = elsewhere(folder, lambda logits, labels: (np.zeros_like(logits) + logits[0], labels))
    assert one.fresh == "FAIL"
    assert one.correlation < one.least


@pytest.mark.parametrize("left", ["SHA256SUMS", "predictions.npz", "config.yaml"])
def test_a_record_of_which_parts_alone_are_left_fails(folder, left):
    for file in kept(folder).iterdir():
        if file.name != left:
            file.unlink()
    one = verdict(folder)
    assert (one.record, one.fresh) == ("FAIL", "")
    assert one.reasons[0].endswith("residual-s0/metrics.json is missing; --keep copies it again")
    (result,) = from_reference(load_table("own", ON_DIGITS), folder / "outputs/reference")
    assert (result.state, result.run) == ("damaged", None)
    (kept(folder) / left).unlink()
    assert verdict(folder).record == "MISSING"


def test_what_is_compared_is_named_and_how_logits_came_out(folder, capsys):
    arguments = ["verify", "--config-dir", "conf", "own", *ON_DIGITS]
    cli(arguments, standalone_mode=False)
    out = capsys.readouterr().out
    assert "PASS        PASS          0.00 to the bit" in out
    assert "test/accuracy, last/test/accuracy, val/accuracy, parameters, macs; the labels" in out
    rewrite(at_hand(), one_logit, threads=64)
    cli(arguments, standalone_mode=False)
    assert " ≥ 0.400" in capsys.readouterr().out


def test_elsewhere_a_run_may_be_as_far_off_as_the_row_s_seeds_are_from_each_other():
    record = SimpleNamespace(test_accuracy=0.5)
    chance = 3 * (2 * 0.25 / 10_000) ** 0.5
    assert tolerance_elsewhere(record, 10_000, [0.5]) == pytest.approx(chance + 0.02)
    assert tolerance_elsewhere(record, 10_000, [0.5, 0.51]) == pytest.approx(chance + 0.02)
    assert tolerance_elsewhere(record, 10_000, [0.5, 0.4, 0.58]) == pytest.approx(chance + 0.18)
