"""Records that are kept, rendered and verified: of a table of two narrow networks."""

import json
import re
import shutil
from pathlib import Path

import pytest

from narrow import ARGUMENTS, REFERENCE, no_skip
from processes import run, run_undrawn

pytestmark = pytest.mark.slow


@pytest.fixture
def kept(narrow_reference, tmp_path):
    """A copy with records that are kept, to spoil."""
    return Path(shutil.copytree(narrow_reference, tmp_path / "copy"))


ALONE = {"others_cpu": 0.0, "inference_others_cpu": 0.0}


NO_STARS = (False, False)


KEPT_ALONE = ("last/test/accuracy", "peak_memory_bytes")  # nothing beside the record says them


@pytest.mark.long
def test_reference_records_are_small_and_render_the_same_table(kept):
    before = (kept / "outputs/tables/narrow/digits/table.md").read_text()
    runs = kept / REFERENCE
    assert sorted(path.name for path in runs.iterdir()) == [
        f"{name}-s{seed}" for name in ("no-skip", "skip-again", "skip") for seed in (0, 1)
    ]
    assert not list(runs.rglob("*.ckpt"))
    shutil.rmtree(kept / "outputs/runs")
    shutil.rmtree(runs / "no-skip-s1")
    finished = run_undrawn(kept, "table", *ARGUMENTS, "--reference")
    assert finished.code == 0, finished.err
    after = (kept / "outputs/tables/narrow/digits/table.md").read_text()
    assert [line for line in before.splitlines() if line.startswith("| Skip |")] == [
        line for line in after.splitlines() if line.startswith("| Skip |")
    ]
    assert "No skip, seed 1: missing" in after


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {
            "Skip": (ALONE | {"inference_others_cpu": 0.9}, (False, True)),
            "No skip": (ALONE | {"others_cpu": 0.9}, (True, False)),
            # Of a version that did not look at inference:
            "Skip again": ({"others_cpu": 0.9}, (True, True)),
        },
    ],
    ids=["alone", "beside others"],
)
def test_times_beside_other_work_are_starred(kept, expected):
    for cell in json.loads((kept / "outputs/tables/narrow/digits/table.json").read_text())["cells"]:
        path = kept / cell["run"] / "metrics.json"
        record = json.loads(path.read_text())
        del record["inference_others_cpu"]
        others, _ = expected.get(cell["model"], (ALONE, NO_STARS))
        path.write_text(json.dumps(record | others))
    assert run_undrawn(kept, "table", *ARGUMENTS).code == 0
    lines = (kept / "outputs/tables/narrow/digits/table.md").read_text().splitlines()
    headings, _, *rows = [[cell.strip() for cell in line.split("|")] for line in lines[2:7]]
    starred = {}
    for row in (dict(zip(headings, cells)) for cells in rows):
        starred[row["Model"]] = (row["Min"].endswith("*"), row["Infer., img/s"].endswith("*"))
    assert starred.keys() == {"Skip", "No skip", "Skip again"}
    for model, found in starred.items():
        assert found == expected.get(model, (ALONE, NO_STARS))[1], model
    noted = any(line.startswith("- * Time taken beside") for line in lines)
    assert noted == bool(expected)


def test_a_kept_record_names_no_folder_of_its_machine(kept):
    run_directory = no_skip(kept)
    for name, before, after in (
        ("config.yaml", "runs_dir: outputs/runs", "runs_dir: /home/someone/runs"),
        ("metrics.json", '"overrides": [', '"overrides": ["runs_dir=/home/someone/runs", '),
    ):
        text = (run_directory / name).read_text()
        assert before in text
        (run_directory / name).write_text(text.replace(before, after))
    assert run_undrawn(kept, "table", *ARGUMENTS, "--keep").code == 0
    for name in ("config.yaml", "metrics.json"):
        text = (kept / REFERENCE / "no-skip-s0" / name).read_text()
        assert "someone" not in text
    assert json.loads(text)["overrides"] == ["recipe=plain", "seed=0"]


def test_verify_passes_and_a_lacking_run_is_missing(kept):
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 0, finished.out
    assert len(re.findall(r"PASS +PASS +0\.00", finished.out)) == 6
    shutil.rmtree(no_skip(kept))
    shutil.rmtree(kept / REFERENCE / "skip-s1")
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 0, finished.out
    assert len(re.findall(r"No skip +0 +PASS +MISSING", finished.out)) == 1
    assert len(re.findall(r"^Skip +1 +MISSING *$", finished.out, re.MULTILINE)) == 1
    assert (
        "is not a folder with records"
        in run(kept, "verify", *ARGUMENTS, "--reference", "x").error_line()
    )


@pytest.mark.parametrize(
    "keys",
    [
        ("test/accuracy", "test/loss", "val/accuracy", "train/loss", "parameters", "macs"),
        ("seconds", "last/test/accuracy", "peak_memory_bytes"),
    ],
)
def test_verify_fails_on_a_record_altered_by_one_percent(kept, keys):
    """Each in a record of its own."""
    cells = [(row, seed) for row in ("Skip", "No skip", "Skip again") for seed in (0, 1)]
    for (row, seed), key in zip(cells, keys):
        path = kept / REFERENCE / f"{row.lower().replace(' ', '-')}-s{seed}/metrics.json"
        record = json.loads(path.read_text())
        record[key] = type(record[key])(record[key] * 1.01)
        path.write_text(json.dumps(record))
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert f"{len(keys)} of 6 cells fail" in finished.err
    for (row, seed), key in zip(cells, keys):
        said = [line for line in finished.out.splitlines() if f"{row}, seed {seed}: " in line]
        assert any(f"{key} is" in line for line in said) or key in KEPT_ALONE, key
        assert any("metrics.json: changed since the record was kept" in line for line in said), key


@pytest.mark.long
def test_verify_names_what_differs_from_the_recipe_and_keep_does_not_replace_it(kept):
    finished = run(kept, "verify", *ARGUMENTS, "optimizer.lr=0.02")
    assert finished.code == 1
    assert "another configuration than asked for: optimizer.lr differ" in finished.out
    short = ("trainer.max_epochs=1", "seed=0")
    assert run_undrawn(kept, "reproduce", *ARGUMENTS, *short).code == 0
    refused = run_undrawn(kept, "table", *ARGUMENTS, *short, "--keep")
    assert "--keep is for the recipes as they are: leave out" in refused.error_line()
    recipe = kept / "conf/recipe/plain.yaml"
    recipe.write_text(recipe.read_text().replace("lr: 0.01", "lr: 0.02"))
    assert run_undrawn(kept, "reproduce", *ARGUMENTS, "seed=0").code == 0
    refused = run_undrawn(kept, "table", *ARGUMENTS, "--keep")
    assert "is the record of another configuration, which differs in optimizer.lr" in refused.err
    recipe.write_text(recipe.read_text().replace("lr: 0.02", "lr: 0.01"))
    assert run(kept, "verify", *ARGUMENTS).code == 0


def test_verify_survives_a_damaged_record(kept):
    (kept / REFERENCE / "skip-s0/predictions.npz").write_bytes(b"damaged")
    (kept / REFERENCE / "no-skip-s0/metrics.csv").write_text("epoch\n")
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert "2 of 6 cells fail" in finished.err
    assert finished.out.count("cannot be compared") == 2


def test_what_ended_before_is_kept_and_not_run_again(kept):
    shutil.rmtree(kept / REFERENCE)
    finished = run_undrawn(kept, "reproduce", *ARGUMENTS, "--keep")
    assert finished.code == 0, finished.err
    assert "[1/" not in finished.err
    assert len(list((kept / REFERENCE).glob("*/SHA256SUMS"))) == 6


def test_an_altered_table_says_so_in_its_title(kept):
    assert run_undrawn(kept, "table", *ARGUMENTS, "optimizer.lr=0.02").code == 1
    folder = kept / "outputs/tables/narrow/digits"
    content = json.loads((folder / "table.json").read_text())
    assert content["title"] == "Narrow & short, on digits, with optimizer.lr=0.02"


@pytest.mark.long
def test_what_is_kept_is_not_run_again(kept):
    shutil.rmtree(kept / "outputs/runs")
    shutil.rmtree(kept / REFERENCE / "skip-s1")
    finished = run_undrawn(kept, "reproduce", *ARGUMENTS, "--keep")
    assert finished.code == 0, finished.err
    assert "[1/1] Skip, seed 1" in finished.err
    assert (kept / REFERENCE / "skip-s1/SHA256SUMS").exists()
    assert run(kept, "verify", *ARGUMENTS).code == 0


def test_verify_fails_on_a_run_at_hand_that_differs(kept):
    """In the same environment to the bit; in another beyond what chance explains."""
    path = no_skip(kept) / "metrics.json"
    record = json.loads(path.read_text())
    changed = record | {"last/test/accuracy": record["last/test/accuracy"] + 0.0005}
    path.write_text(json.dumps(changed))
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert "No skip, seed 0: last/test/accuracy of the run at hand" in finished.out
    path.write_text(json.dumps(changed | {"threads": 64}))
    assert run(kept, "verify", *ARGUMENTS).code == 0
    far = {"threads": 64, "last/test/accuracy": record["last/test/accuracy"] + 0.3}
    path.write_text(json.dumps(record | far | {"choices": None}))
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert re.search("No skip, seed 0: .*last/test/accuracy", finished.out)
