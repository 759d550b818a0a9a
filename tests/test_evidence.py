"""What a rendered table says, worked out again from `predictions.npz`, and its pictures and page.

With numpy, scipy and scikit-learn alone, of a table of two narrow networks.
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
from narrow import ARGUMENTS, predictions, right
from processes import run, run_undrawn

pytestmark = pytest.mark.slow


@pytest.fixture
def rendered(narrow_table):
    return narrow_table / "outputs/tables/narrow/digits"


@pytest.fixture
def content(rendered):
    return json.loads((rendered / "table.json").read_text())


def test_means_intervals_and_calibration_are_recomputed(narrow_table, content):
    for line in content["rows"]:
        kept = predictions(narrow_table, content, line["model"])
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
            pd.read_csv(narrow_table / cell["run"] / "metrics.csv")
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


def test_differences_mcnemar_and_holm_are_recomputed(narrow_table, content):
    worst = []
    for pair in content["pairs"]:
        first, second = (
            predictions(narrow_table, content, pair[key]) for key in ("first", "second")
        )
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


def test_the_table_has_every_column_that_was_asked_for(narrow_table, rendered):
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
    out = (narrow_table / "out.txt").read_text()
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


def test_gradients_are_those_of_the_first_batch_and_of_epochs_ends(narrow_table, content):
    cell = content["cells"][0]
    frame = pd.read_csv(narrow_table / cell["run"] / "gradients.csv")
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
        name = page.locator(".bk-Legend").first.get_by_text("Skip", exact=True)
        name.click()
        page.wait_for_timeout(300)
        assert page.evaluate(visible) == [False] * 3 + [True] * 6
        name.click()
        page.wait_for_timeout(300)
        assert page.evaluate(visible) == [True] * 9
        assert page.problems == []


def test_the_quick_scale_is_named_and_apart(narrow_table, tmp_path):
    folder = shutil.copytree(narrow_table, tmp_path / "copy")
    finished = run_undrawn(folder, "reproduce", *ARGUMENTS, "--quick")
    assert finished.code == 0, finished.err
    quick = folder / "outputs/tables/narrow/digits-quick"
    title = "Narrow & short, on digits at the quick scale, not the published one"
    assert title in (quick / "table.md").read_text()
    assert "trainer.max_epochs=1" in (quick / "table.md").read_text()
    assert json.loads((quick / "table.json").read_text())["rows"][0]["n"] == 1
    assert (folder / "outputs/tables/narrow/digits/table.md").exists()


def test_two_runs_differ_in_what_differs(narrow_table, content, tmp_path):
    folder = shutil.copytree(narrow_table, tmp_path / "copy")
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
