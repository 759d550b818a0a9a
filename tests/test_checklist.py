"""The answers for checklists, against what the runs left: read with csv, json and numpy alone."""

import csv
import json
import re

import numpy as np
import pytest

from processes import run, run_undrawn
from reslab.tables.checklist import checklist
from reslab.tables.collect import collect
from reslab.tables.findings import sum_up
from reslab.tables.plan import load_table
from synthetic import ON_DIGITS, finish, own_table

TABLE = """
title: Depth & skips
seeds: [0, 1, 2]
notes: [The paper says nothing of the split.]
rows:
  - {name: Residual, recipe: he2016/resnet20}
  - {name: Peeking, recipe: liu_goh/readings/mini_resnet_keras}
  - {name: Not run, recipe: resnet3}
"""
SEEDS = {"Residual": (0, 1, 2), "Peeking": (1,), "Not run": ()}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checklist")
    with pytest.MonkeyPatch.context() as patched:
        own_table(folder, TABLE, patched)
        table = load_table("own", [*ON_DIGITS, "dataset.batch_size=48", f"runs_dir={folder}"])
    for cell in table.cells:
        if cell.seed in SEEDS[cell.row.name]:
            beside = 1.0 if cell.row.name == "Peeking" else 0.0
            finish(cell, share=0.6 + 0.1 * cell.seed, epochs=3 + cell.seed, others_cpu=beside)
    return table


@pytest.fixture(scope="module")
def text(table):
    return checklist(sum_up(table, collect(table)))


def sections(text):
    parts = re.split(r"^#### (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def directories(table, row):
    return [c.directory.path for c in table.cells if c.row.name == row and c.seed in SEEDS[row]]


def spread(values):
    return f"{np.mean(values):.2f}" + (
        f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    )


def test_runs_with_validation_beside_test_are_counted_from_their_files(table, text):
    section = sections(text)["Runs, seeds, validation beside test"]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    headings, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    rows = {row[0]: dict(zip(headings, row)) for row in rows}
    assert rows.keys() == SEEDS.keys()
    for name, seeds in SEEDS.items():
        epochs, validation, test, seconds = [], [], [], 0.0
        for path in directories(table, name):
            history = list(csv.DictReader((path / "metrics.csv").open()))
            epochs.append(str(len(history)))
            validation.append(100 * float(history[-1]["val/accuracy"]))  # the best, as it is made
            stored = np.load(path / "predictions.npz")
            test.append(100 * (stored["logits"].argmax(1) == stored["labels"]).mean())
            seconds += sum(float(row["seconds"]) for row in history)
        row = rows[name]
        assert row["Seeds"] == ", ".join(map(str, seeds))
        assert row["Runs"] == (f"{len(seeds)}/3" if len(seeds) < 3 else "3")
        assert row["Epochs"] == row["Chosen"] == " / ".join(epochs)
        if seeds:
            assert row["Val. acc., %"] == spread(validation)
            assert row["Test acc., %"] == spread(test)
            assert row["Hours"] == f"{seconds / 3600:.3f}"
        else:
            assert row["Test acc., %"] == "missing"
            assert row["Val. acc., %"] == row["Hours"] == ""


def test_hours_and_machines_are_the_records(table, text):
    paths = [path for name in SEEDS for path in directories(table, name)]
    records = [json.loads((path / "metrics.json").read_text()) for path in paths]
    section = sections(text)["Compute"]
    assert f"{sum(r['seconds'] for r in records) / 3600:.3f} hours" in section
    assert (
        "All runs: a processor, 2 cores, 32-true, 1 CPU threads, `trainer.deterministic=false`"
        in section
    )
    assert "256 MiB" in section
    assert "energy: unknown" in section
    assert "- 1 of 4 runs trained beside other work" in section


def test_selection_on_the_test_set_is_told_from_one_on_validation(text):
    first, second = sections(text)["How the reported epoch was chosen"].strip().splitlines()
    assert first.startswith("- Residual (seed 0, 1, 2): the epoch of the best val/accuracy on 180 ")
    assert "split seed 0" in first
    assert second.startswith("- Peeking (seed 1): the epoch of the best val/loss on the test set ")
    assert "ends after 7 epochs" in second
    assert "2 steps" in first
    assert "chose nothing" in first
    assert "chose nothing" not in second


def test_hyperparameters_and_data_are_those_of_the_configurations(text):
    lines = sections(text)["Hyperparameters"].strip().splitlines()
    first, second = [line for line in lines if "Optimizer" in line]
    assert first.startswith("- **Optimizer.** Residual (seed 0, 1, 2): `Optimization(")
    assert "optimizer=SGD(" in first
    assert "lr=0.1" in first
    assert "weight_decay=0.0001" in first
    assert "optimizer=Adam(" in second
    assert "- **Batch.** All runs: `48`." in lines
    (data,) = sections(text)["Data"].strip().splitlines()
    assert data.startswith("- All runs: digits, 200 test images")
    assert f"`{'0' * 64}`" in data
    assert "license unknown" in data


def test_what_no_record_says_is_unknown(text):
    code = sections(text)["Code and packages"]
    assert "commit unknown" in code
    assert "torch 2.0" in code
    choice = sections(text)["How hyperparameters were chosen"]
    assert re.search(r"`he2016/resnet20`, `liu_goh/.*: no search's record .* unknown", choice)


def test_the_table_s_own_remarks_are_there(table, text):
    findings = sum_up(table, collect(table))
    last = sections(text)["Central tendency, intervals and known deviations"]
    assert last.replace("\\*", "*").strip().splitlines() == [f"- {one}" for one in findings.notes]
    assert any(note.startswith("* ") for note in findings.notes)
    assert not re.search(r"^- \*", last, re.MULTILINE), "it would be a list in the list"
    assert "Student's t" in last


@pytest.mark.long
def test_a_search_that_a_recipe_comes_from_is_told_with_its_bounds(tmp_path):
    """A real one, whose best run fills the table's cell."""
    short = ("dataset=digits", "model=baseline_cnn", "trainer.max_epochs=1", "logger=none")
    bounds = ("optimizer.lr=log(1e-4,1e-1)", "label_smoothing=0.0,0.1")
    asked = ("search.trials=2", "search.name=found", "+trainer.limit_train_batches=2")
    searched = run(tmp_path, "search", *short, *bounds, *asked)
    assert searched.code == 0, searched.err
    rows = "rows: [{name: Found, recipe: found}, {name: Other, recipe: other}]"
    own_table(tmp_path, f"title: Own\nseeds: [0]\n{rows}")
    recipe = tmp_path / "conf/recipe/other.yaml"
    recipe.parent.mkdir()
    (found,) = tmp_path.glob("outputs/runs/searches/found/conf/recipe/*.yaml")
    recipe.write_text(found.read_text())
    folders = ("--config-dir", "conf", "--config-dir", "outputs/runs/searches/found/conf")
    rendered = run_undrawn(tmp_path, "table", "own", *folders)
    assert rendered.code == 0, rendered.err
    text = (tmp_path / "outputs/tables/own/digits/checklist.md").read_text()
    first, second = sections(text)["How hyperparameters were chosen"].strip().splitlines()
    assert first.startswith("- Recipe `found`: ")
    record = json.loads((tmp_path / "outputs/runs/searches/found/search.json").read_text())
    best = record["trials"][record["best"]]
    assert f"search by {record['sampler']['_target_'].split('.')[-1]} with seed 0" in first
    assert "2 trials (2 finished)" in first
    assert "`optimizer.lr` 0.0001 to 0.1, logarithmic" in first
    assert "`label_smoothing` one of 0.0, 0.1" in first
    assert f"`optimizer.lr={best['chosen']['optimizer.lr']}`" in first
    assert "is unknown" in second
