"""What a table claims, against what its runs left: read with numpy and scipy alone."""

import dataclasses
import json
import shlex

import numpy as np
import pytest
from scipy import stats

from reslab.config import compose, folder_added
from reslab.runs.identity import identity
from reslab.tables.claims import as_markdown, claims, claims_page
from reslab.tables.collect import collect
from reslab.tables.findings import sum_up
from reslab.tables.plan import load_table
from reslab.tables.reference import keep_records
from reslab.tables.verify import verify
from synthetic import ON_DIGITS, PROVENANCE, finish, own_table


def made(folder):
    """Two rows of two seeds, the second's beside other work; of the third row nothing is run."""
    table = load_table("own", [*ON_DIGITS, f"runs_dir={folder}"])
    for cell in table.cells:
        if cell.row.name != "Padded":
            share = 0.7 + 0.1 * cell.seed
            finish(cell, share=share, others_cpu=1.0 if cell.row.name == "Plain" else 0.0)
    return sum_up(table, collect(table))


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    """Shared: nothing in it is to be changed."""
    folder = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patched:
        own_table(folder, monkeypatch=patched)
        return made(folder)


def accuracies(findings, row):
    found = []
    for run in (run for run in findings.done if run.cell.row.name == row):
        stored = np.load(run.cell.directory.predictions_file)
        found.append((stored["logits"].argmax(1) == stored["labels"]).mean())
    return np.array(found)


def test_a_row_with_records_is_a_claim_and_no_other(findings):
    residual, plain = claims(findings)
    shares = 100 * accuracies(findings, "Residual")
    mean, std = shares.mean(), shares.std(ddof=1)
    half = stats.t.ppf(0.975, 1) * std / np.sqrt(2)
    low, high = max(0, mean - half), min(100, mean + half)
    assert residual.text == (
        f"Residual: test accuracy {mean:.2f} ± {std:.2f} % on digits "
        f"(95 %: {low:.2f} to {high:.2f}; n = 2)"
    )
    assert plain.text.startswith("Plain: ")
    assert residual.hardware == "a processor, 2 cores"


def test_the_minutes_are_those_of_all_runs_of_the_command(findings):
    for claim, row in zip(claims(findings), ("Residual", "Plain")):
        seconds = [
            json.loads(run.cell.directory.record_file.read_text())["seconds"]
            for run in findings.done
            if run.cell.row.name == row
        ]
        assert len(seconds) == 2
        assert claim.minutes == pytest.approx(sum(seconds) / 60)
        assert claim.alone == (row == "Residual")
    rows = as_markdown(claims(findings)).splitlines()[2:4]
    assert [f"{claim.minutes:.2f}" for claim in claims(findings)] == [
        row.split("|")[3].strip().rstrip("*") for row in rows
    ]
    assert [row.split("|")[3].strip().endswith("*") for row in rows] == [False, True]


def test_the_command_makes_the_very_runs_of_the_records(findings):
    for claim, row in zip(claims(findings), ("Residual", "Plain")):
        reslab, train, many, *overrides = shlex.split(claim.command)
        assert (reslab, train, many) == ("reslab", "train", "-m")
        (seeds,) = [one for one in overrides if one.startswith("seed=")]
        others = [one for one in overrides if one != seeds]
        made = {
            identity(compose([*others, f"seed={seed}"]))
            for seed in seeds.removeprefix("seed=").split(",")
        }
        assert made == {run.record.identity for run in findings.done if run.cell.row.name == row}


def test_one_seed_needs_no_sweep(in_empty_folder, monkeypatch):
    own_table(in_empty_folder, monkeypatch=monkeypatch)
    table = load_table("own", [*ON_DIGITS, "seed=4"])
    finish(table.cells[0])
    (claim,) = claims(sum_up(table, collect(table)))
    assert claim.command == (
        "reslab train recipe=he2016/resnet20 seed=4 dataset=digits max_steps=2"
    )
    assert "n = 1" in claim.text
    assert "±" not in claim.text
    page = claims_page(sum_up(table, collect(table)))
    assert "`reslab verify own seed=4 dataset=digits max_steps=2`" in page


def test_what_a_paper_prints_is_of_its_own_data_set(in_empty_folder, monkeypatch):
    rows = "rows: [{name: One, recipe: own, published: {accuracy: [91, 92]}}]"
    own = in_empty_folder / "conf/recipe/own.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# @package _global_\ndefaults: [override /dataset: digits, _self_]\n")
    own_table(in_empty_folder, f"title: Own\nseeds: [0]\n{rows}", monkeypatch)
    with folder_added(in_empty_folder / "conf"):
        table = load_table("own", ["model=baseline_cnn"])
        finish(table.cells[0])
        (claim,) = claims(sum_up(table, collect(table)))
    assert "n = 1; paper: 91 to 92)" in claim.text


def test_the_quick_scale_is_asked_for_by_its_name(in_empty_folder, monkeypatch):
    rows = "rows: [{name: Residual, recipe: he2016/resnet20}]"
    text = f'title: Own\nseeds: [0]\nquick: ["seed=0", dataset=digits, max_steps=2]\n{rows}'
    own_table(in_empty_folder, text, monkeypatch)
    table = load_table("own", ["optimizer.lr=0.2"], quick=True)
    finish(table.cells[0])
    findings = sum_up(table, collect(table))
    assert "`reslab verify own --quick seed=0 optimizer.lr=0.2`" in claims_page(findings)
    (claim,) = claims(findings)
    assert "dataset=digits max_steps=2 optimizer.lr=0.2" in claim.command


@pytest.mark.slow
def test_the_tolerance_is_the_one_that_verify_applies_elsewhere(tmp_path, monkeypatch):
    """The largest of a row's runs."""
    own_table(tmp_path, monkeypatch=monkeypatch)
    findings, reference = made(tmp_path), tmp_path / "reference"
    keep_records(findings.table, findings.results, reference)
    elsewhere = dataclasses.replace(PROVENANCE, hardware="another processor, 2 cores")
    for run in findings.done:
        directory = run.cell.directory
        directory.write_record(dataclasses.replace(run.record, provenance=elsewhere))
    asked = [*ON_DIGITS, f"runs_dir={tmp_path}"]
    verdicts = verify("own", asked, reference=reference).verdicts
    for claim, row in zip(claims(findings), ("Residual", "Plain")):
        applied = [one.tolerance for one in verdicts if one.row == row]
        assert len(applied) == 2
        assert claim.tolerance == pytest.approx(100 * max(applied))
        assert min(applied) > 0
