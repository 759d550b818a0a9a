"""Statistics, page, macros, reference records: of a table of two narrow networks, trained here.

Every printed number is worked out again from `predictions.npz` with numpy, scipy and scikit-learn.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score

from browser import opened
from processes import run
from reslab.config import list_options
from reslab.tables.plan import load_table
from reslab.tables.stats import compare, correct, holm, mcnemar, mean_interval

RECIPE = """# @package _global_
defaults:
  - override /augment: none
  - override /model: mini_resnet
  - override /join: {join}
  - _self_
model:
  widths: [8, 16, 32, 64]
optimizer:
  lr: 0.01
trainer:
  max_epochs: {epochs}
"""
TABLE = """
title: Narrow & short
seeds: [0, 1]
quick: ["seed=0", trainer.max_epochs=1]
columns: [train_accuracy, val_accuracy, loss, macs, memory, mebibytes, images_per_second]
pairs:
  - [Skip, No skip]
  - [Skip, Skip again]
rows:
  - name: Skip
    recipe: skip
    published: {accuracy: 84.1, val_accuracy: 85, macs: 1 GFLOP, memory: 2 MB, mebibytes: 1.2}
  - name: No skip
    recipe: plain
  - name: Skip again
    recipe: again
"""
ARGUMENTS = ("--config-dir", "conf", "narrow")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    for group in ("recipe", "table"):
        (folder / "conf" / group).mkdir(parents=True)
    recipes = {"skip": ("add", 2), "plain": ("none", 2), "again": ("add", 3)}
    for name, (join, epochs) in recipes.items():
        text = RECIPE.format(join=join, epochs=epochs)
        (folder / f"conf/recipe/{name}.yaml").write_text(text)
    (folder / "conf/table/narrow.yaml").write_text(TABLE)
    finished = run(folder, "reproduce", *ARGUMENTS)
    assert finished.code == 0, finished.out + finished.err
    return folder, finished


@pytest.fixture
def folder(trained):
    return trained[0]


@pytest.fixture
def rendered(folder):
    return folder / "outputs/tables/narrow/digits"


@pytest.fixture
def content(rendered):
    return json.loads((rendered / "table.json").read_text())


def predictions(folder: Path, content: dict, model: str) -> dict[int, dict]:
    """Seed to logits and labels."""
    return {
        cell["seed"]: dict(np.load(folder / cell["run"] / "predictions.npz"))
        for cell in content["cells"]
        if cell["model"] == model
    }


def right(one: dict) -> np.ndarray:
    return one["logits"].argmax(1) == one["labels"]


def test_means_intervals_and_calibration_are_recomputed(folder, content):
    for line in content["rows"]:
        kept = predictions(folder, content, line["model"])
        accuracies = [
            100 * accuracy_score(p["labels"], p["logits"].argmax(1)) for p in kept.values()
        ]
        mean, std, n = np.mean(accuracies), np.std(accuracies, ddof=1), len(accuracies)
        assert (line["accuracy"], line["std"], line["n"]) == pytest.approx((mean, std, n))
        half = stats.t.ppf(0.975, n - 1) * std / np.sqrt(n)
        assert line["interval"] == pytest.approx([max(0, mean - half), min(100, mean + half)])
        errors = []
        for p in kept.values():
            logits = p["logits"].astype(np.float32)
            shares = np.exp(logits - logits.max(1, keepdims=True))
            confidence = (shares / shares.sum(1, keepdims=True)).max(1)
            bins = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1], right=True)
            gaps = [
                (bins == b).sum() * abs(right(p)[bins == b].mean() - confidence[bins == b].mean())
                for b in np.unique(bins)
            ]
            errors.append(sum(gaps) / len(bins))
        assert line["ece"] == pytest.approx(np.mean(errors), abs=1e-5)
        histories = [
            pd.read_csv(folder / cell["run"] / "metrics.csv")
            for cell in content["cells"]
            if cell["model"] == line["model"]
        ]
        last = [
            100 * cell["record"]["last/test/accuracy"]
            for cell in content["cells"]
            if cell["model"] == line["model"]
        ]
        assert line["last"] == pytest.approx(np.mean(last))
        best = [h["val/accuracy"].max() for h in histories]  # on which the best epoch is chosen
        assert line["val_accuracy"] == pytest.approx(100 * np.mean(best))
        assert line["loss"] == pytest.approx(np.mean([h["train/loss"].iloc[-1] for h in histories]))


def test_differences_mcnemar_and_holm_are_recomputed(folder, content):
    worst = []
    for pair in content["pairs"]:
        first, second = (predictions(folder, content, pair[key]) for key in ("first", "second"))
        assert pair["seeds"] == [0, 1]
        gaps, p = [], []
        for seed in pair["seeds"]:
            ours, theirs = right(first[seed]), right(second[seed])
            gaps.append(100 * (ours.astype(float) - theirs))
            b, c = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
            p.append(min(1.0, 2 * stats.binom.cdf(min(b, c), b + c, 0.5)))
        own = np.mean(gaps, axis=1)
        assert pair["difference"] == pytest.approx(own.mean())
        assert pair["std"] == pytest.approx(own.std(ddof=1))
        assert pair["images"] == 360
        assert pair["p"] == pytest.approx(p)
        paired = [
            [100 * right(one[seed]).mean() for seed in pair["seeds"]] for one in (first, second)
        ]
        over_seeds = stats.ttest_rel(*paired).confidence_interval(0.95)
        assert pair["seed_interval"] == pytest.approx(np.clip(over_seeds, -100, 100))
        over_images = np.mean(gaps, axis=0)
        error = over_images.std(ddof=1) / np.sqrt(360)
        ends = stats.norm.interval(0.95, loc=over_images.mean(), scale=error)
        assert pair["image_interval"] == pytest.approx(ends)
        assert pair["joint_interval"] is None, "two seeds are no sample to draw from"
        worst.append(max(p))
    low, high = sorted(worst)
    expected = {low: min(1, 2 * low), high: max(min(1, 2 * low), high)}
    assert [pair["adjusted_p"] for pair in content["pairs"]] == pytest.approx(
        [expected[p] for p in worst]
    )


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


def test_an_augmentation_by_override_is_a_change_and_a_seed_counts_once(folder, monkeypatch):
    table = load_table("liu_goh", ["augment=none", "seed=0,0", "data_dir=x"])
    assert table.changes == ("augment=none",)
    assert [cell.seed for cell in table.cells] == [0] * 4


@pytest.mark.parametrize("table", list_options("table"))
def test_every_table_has_a_quick_scale(table):
    spec = load_table(table, quick=True)
    assert spec.quick
    assert spec.changes
    assert len(spec.cells) == len(spec.publication.rows)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        (["ResNet-18", "ResNet 18"], "too much like it"),
        ([18, "x"], "18"),
        (["$x$", "y"], "no $"),
        (["Ж", "y"], "letters or digits"),
    ],
)
def test_names_that_cannot_be_files_are_refused(rows, named, tmp_path):
    (tmp_path / "conf/table").mkdir(parents=True)
    lines = [f"  - {{name: {json.dumps(name)}, recipe: virakden}}" for name in rows]
    text = "\n".join(["title: x", "seeds: [0]", "rows:", *lines])
    (tmp_path / "conf/table/own.yaml").write_text(text)
    assert named in run(tmp_path, "table", "--config-dir", "conf", "own").error_line()


def test_the_table_has_every_column_that_was_asked_for(rendered, trained):
    heading = (rendered / "table.md").read_text().splitlines()[2]
    for name in (
        "95 %",
        "Last, %",
        "ECE",
        "Train, %",
        "Val., %",
        "Train loss",
        "MACs",
        "Memory, MiB",
        "File, MiB",
        "Infer., img/s",
    ):
        assert f"| {name} |" in heading
    out = trained[1].out
    assert "Skip - No skip" in out
    assert "p (Holm)" in out
    lines = [line for line in out.splitlines() if line.startswith(("Model ", "Skip ", "No skip "))]
    assert len(lines) >= 5
    assert all(len(line) <= 80 for line in lines)


def test_every_figure_is_there_as_png_and_pdf(rendered):
    names = ["curves", "schedule", "costs", "reliability", "gradients", "gradient_map"]
    names += [
        f"{kind}-{model}"
        for kind in ("confusion", "per_class", "network")
        for model in ("skip", "no-skip", "skip-again")
    ]
    found = {path.name for path in (rendered / "figures").iterdir()}
    assert found == {f"{name}.{kind}" for name in names for kind in ("png", "pdf")}
    for path in (rendered / "figures").iterdir():
        start = path.read_bytes()[:4]
        assert start == (b"%PDF" if path.suffix == ".pdf" else b"\x89PNG")
        assert path.stat().st_size > 5000


def test_macros_hold_the_table_s_cells(rendered, content):
    text = (rendered / "macros.tex").read_text()
    macros = dict(re.findall(r"^\\newcommand\{\\(\w+)\}\{(.*)\}$", text, re.MULTILINE))
    assert len(macros) == len(re.findall("newcommand", text)) > 30
    assert all(name.isalpha() for name in macros)
    line = content["rows"][1]
    assert (
        macros["NarrowDigitsNoSkipAccuracy"] == rf"{line['accuracy']:.2f} $\pm$ {line['std']:.2f}"
    )
    assert macros["NarrowDigitsSkipAccuracyPaper"] == "84.1"
    pair = content["pairs"][0]
    gap = rf"{pair['difference']:+.2f} $\pm$ {pair['std']:.2f}"
    assert macros["NarrowDigitsSkipAgainstNoSkipDifference"] == gap
    assert float(macros["NarrowDigitsSkipAgainstNoSkipP"]) == pytest.approx(
        pair["adjusted_p"], rel=0.5
    )
    table = (rendered / "table.tex").read_text()
    cells = {
        cell.strip().removesuffix(r" \\") for line in table.splitlines() for cell in line.split("&")
    }
    assert set(macros.values()) <= cells


def test_gradients_are_those_of_the_first_batch_and_of_epochs_ends(folder, content):
    cell = content["cells"][0]
    frame = pd.read_csv(folder / cell["run"] / "gradients.csv")
    assert sorted(set(frame["epoch"])) == [0, 1, 2]
    assert (frame["norm"] > 0).all()
    layers = frame[frame["epoch"] == 0]["layer"]
    assert list(layers)[-1] == "head.classifier"
    assert len(layers) == 18 + 4  # the main path's and the projections
    assert frame[frame["epoch"] == 0]["path"].value_counts().to_dict() == {"main": 18, "skip": 4}


def test_the_page_works_offline_and_names_the_runs_behind_a_number(rendered, content):
    with opened(rendered / "page.html") as page:
        cell = page.get_by_role("cell", name=f"{content['rows'][0]['accuracy']:.2f}").first
        title = cell.get_attribute("title")
        for one in content["cells"][:2]:
            record = one["record"]
            assert Path(one["run"]).name in title
            assert f"seed {one['seed']}" in title
            assert record["hardware"] in title
            assert " ".join(record["overrides"]) in title
            assert (record["git"] or "unknown") in title
        pair = content["pairs"][0]
        cell = page.get_by_role("cell", name=f"{pair['difference']:+.2f}").first
        for one in content["cells"]:
            behind = one["model"] in (pair["first"], pair["second"])
            assert (Path(one["run"]).name in cell.get_attribute("title")) == behind
        runs = page.evaluate(
            'Bokeh.documents[0].get_model_by_name("train/accuracy")'
            ".renderers.map((one) => one.data_source.data.runs[0])"
        )
        assert runs[0] == ", ".join(Path(one["run"]).name for one in content["cells"][:2])
        model = 'Bokeh.documents[0].get_model_by_name("train/accuracy")'
        visible = f"{model}.renderers.map((one) => one.visible)"
        assert page.evaluate(visible) == [True] * 9
        name = page.get_by_role("button", name="Skip", exact=True)
        name.click()
        page.wait_for_timeout(300)
        assert page.evaluate(visible) == [False] * 3 + [True] * 6
        name.click()
        page.wait_for_timeout(300)
        assert page.evaluate(visible) == [True] * 9
        assert page.problems == []


def test_the_quick_scale_is_named_and_apart(folder):
    finished = run(folder, "reproduce", *ARGUMENTS, "--quick")
    assert finished.code == 0, finished.err
    quick = folder / "outputs/tables/narrow/digits-quick"
    title = "Narrow & short, on digits at the quick scale, not the published one"
    assert title in (quick / "table.md").read_text()
    assert "trainer.max_epochs=1" in (quick / "table.md").read_text()
    assert json.loads((quick / "table.json").read_text())["rows"][0]["n"] == 1
    assert (folder / "outputs/tables/narrow/digits/table.md").exists()


@pytest.fixture(scope="module")
def with_reference(trained, tmp_path_factory):
    """A copy with the records kept as reference."""
    folder = tmp_path_factory.mktemp("reference") / "copy"
    shutil.copytree(trained[0], folder)
    finished = run(folder, "table", *ARGUMENTS, "--keep")
    assert finished.code == 0, finished.err
    return folder


@pytest.fixture
def kept(with_reference, tmp_path):
    return Path(shutil.copytree(with_reference, tmp_path / "copy"))


def no_skip(folder: Path) -> Path:
    """The run at hand of the row "No skip" with seed 0."""
    content = json.loads((folder / "outputs/tables/narrow/digits/table.json").read_text())
    return folder / content["cells"][2]["run"]


REFERENCE = "outputs/reference/narrow/digits/runs"
KEPT_ALONE = ("last/test/accuracy", "peak_memory_bytes")  # nothing beside the record says them


def test_reference_records_are_small_and_render_the_same_table(kept):
    before = (kept / "outputs/tables/narrow/digits/table.md").read_text()
    runs = kept / REFERENCE
    assert sorted(path.name for path in runs.iterdir()) == [
        f"{name}-s{seed}" for name in ("no-skip", "skip-again", "skip") for seed in (0, 1)
    ]
    assert not list(runs.rglob("*.ckpt"))
    shutil.rmtree(kept / "outputs/runs")
    shutil.rmtree(runs / "no-skip-s1")
    finished = run(kept, "table", *ARGUMENTS, "--reference")
    assert finished.code == 0, finished.err
    after = (kept / "outputs/tables/narrow/digits/table.md").read_text()
    assert [line for line in before.splitlines() if line.startswith("| Skip |")] == [
        line for line in after.splitlines() if line.startswith("| Skip |")
    ]
    assert "No skip, seed 1: missing" in after


ALONE = {"others_cpu": 0.0, "inference_others_cpu": 0.0}
NO_STARS = (False, False)


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
    assert run(kept, "table", *ARGUMENTS).code == 0
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
    assert run(kept, "table", *ARGUMENTS, "--keep").code == 0
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
    "key",
    [
        *("test/accuracy", "test/loss", "val/accuracy", "train/loss", "parameters", "macs"),
        *("seconds", "last/test/accuracy", "peak_memory_bytes"),
    ],
)
def test_verify_fails_on_a_record_altered_by_one_percent(kept, key):
    path = kept / REFERENCE / "skip-s0/metrics.json"
    record = json.loads(path.read_text())
    record[key] = type(record[key])(record[key] * 1.01)
    path.write_text(json.dumps(record))
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert "1 of 6 cells fail" in finished.err
    assert f"Skip, seed 0: {key} is" in finished.out or key in KEPT_ALONE
    assert "Skip, seed 0: metrics.json: changed since the record was kept" in finished.out


def test_verify_names_what_differs_from_the_recipe_and_keep_does_not_replace_it(kept):
    finished = run(kept, "verify", *ARGUMENTS, "optimizer.lr=0.02")
    assert finished.code == 1
    assert "another configuration than asked for: optimizer.lr differ" in finished.out
    assert run(kept, "reproduce", *ARGUMENTS, "trainer.max_epochs=1").code == 0
    refused = run(kept, "table", *ARGUMENTS, "trainer.max_epochs=1", "--keep")
    assert "--keep is for the recipes as they are: leave out" in refused.error_line()
    recipe = kept / "conf/recipe/plain.yaml"
    recipe.write_text(recipe.read_text().replace("lr: 0.01", "lr: 0.02"))
    assert run(kept, "reproduce", *ARGUMENTS).code == 0
    refused = run(kept, "table", *ARGUMENTS, "--keep")
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
    finished = run(kept, "reproduce", *ARGUMENTS, "--keep")
    assert finished.code == 0, finished.err
    assert "[1/" not in finished.err
    assert len(list((kept / REFERENCE).glob("*/SHA256SUMS"))) == 6


def test_an_altered_table_says_so_in_its_title(kept):
    assert run(kept, "table", *ARGUMENTS, "optimizer.lr=0.02").code == 1
    folder = kept / "outputs/tables/narrow/digits"
    content = json.loads((folder / "table.json").read_text())
    assert content["title"] == "Narrow & short, on digits, with optimizer.lr=0.02"


def test_what_is_kept_is_not_run_again(kept):
    shutil.rmtree(kept / "outputs/runs")
    shutil.rmtree(kept / REFERENCE / "skip-s1")
    finished = run(kept, "reproduce", *ARGUMENTS, "--keep")
    assert finished.code == 0, finished.err
    assert "[1/1] Skip, seed 1" in finished.err
    assert (kept / REFERENCE / "skip-s1/SHA256SUMS").exists()
    assert run(kept, "verify", *ARGUMENTS).code == 0


def test_verify_fails_on_a_run_at_hand_that_differs(kept):
    """In the same environment to the bit; in another beyond what chance explains."""
    path = no_skip(kept) / "metrics.json"
    record = json.loads(path.read_text())
    changed = record | {"last/test/accuracy": record["last/test/accuracy"] + 1 / 360}
    path.write_text(json.dumps(changed))
    finished = run(kept, "verify", *ARGUMENTS)
    assert finished.code == 1
    assert "No skip, seed 0: last/test/accuracy of the run at hand" in finished.out
    path.write_text(json.dumps(changed | {"threads": 64}))
    assert run(kept, "verify", *ARGUMENTS).code == 0
    far = {"threads": 64, "last/test/accuracy": record["last/test/accuracy"] + 0.3}
    path.write_text(json.dumps(record | far))
    assert run(kept, "verify", *ARGUMENTS).code == 1


def test_two_runs_differ_in_what_differs(folder, content):
    names = [Path(content["cells"][at]["run"]).name for at in (0, 2)]
    finished = run(folder, "diff", *names)
    assert finished.code == 0, finished.err
    assert "configuration: model.join._target_" in finished.out
    kept = [predictions(folder, content, model)[0] for model in ("Skip", "No skip")]
    ours, theirs = map(right, kept)
    assert f"{(ours & ~theirs).sum()} of 360 test images lost" in finished.out
    assert f"{(theirs & ~ours).sum()} of 360 test images gained" in finished.out
    assert "val/accuracy: differs from epoch 1 on" in finished.out
    same = run(folder, "diff", names[0], names[0])
    assert "nothing sets them apart" in same.out
    assert "no run is called nothing" in run(folder, "diff", names[0], "nothing").error_line()
