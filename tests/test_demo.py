"""The demo's command, with one short epoch a cell, and what its table says."""

import csv
import json
import os
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

from conftest import REPOSITORY
from processes import run, run_undrawn

pytestmark = pytest.mark.long


def demo_arguments() -> list[str]:
    """What `make demo` runs once everything is installed."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    lines = subprocess.run(
        ["make", "-n", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (line,) = [line for line in lines if "/reslab " in line]
    arguments = [word for word in shlex.split(line)[1:] if "max_epochs" not in word]
    return [*arguments, "trainer.max_epochs=1", "+trainer.limit_train_batches=3"]


class Demo:
    """Runs `reslab` in a folder; its time is the processor's on 2 cores, whatever else runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arguments = demo_arguments()

    def run(self, *arguments: str) -> tuple[float, subprocess.CompletedProcess]:
        command = [sys.executable, "-m", "reslab", *(arguments or self.arguments)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return cpu / 2, done

    def times(self) -> dict[Path, int]:
        """When each file of a run was written."""
        return {path: path.stat().st_mtime_ns for path in self.folder.glob("outputs/runs/*/*")}

    @property
    def table(self) -> Path:
        return self.folder / "outputs/tables/liu_goh/digits"

    def records(self) -> dict[tuple[str, int], dict]:
        cells = json.loads((self.table / "table.json").read_text())["cells"]
        return {(cell["model"], cell["seed"]): cell["record"] for cell in cells}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What is trained first, and the same command again, by which alone pictures are drawn."""
    demo = Demo(tmp_path_factory.mktemp("demo"))
    demo.first = run_undrawn(demo.folder, *demo.arguments)
    assert demo.first.code == 0, demo.first.out + demo.first.err
    trained = demo.times()
    demo.seconds, demo.again = demo.run()
    demo.retrained = trained != demo.times()
    assert demo.again.returncode == 0, demo.again.stdout + demo.again.stderr
    return demo


def test_it_shows_cells_and_time_left(demo):
    assert re.findall(r"^\[(\d)/8\]", demo.first.err, re.MULTILINE) == list("12345678")
    assert len(re.findall(r"about \d+ (s|min) left", demo.first.err)) == 7


def test_again_nothing_is_retrained_in_under_20_seconds(demo):
    assert demo.seconds < 20
    assert not demo.retrained
    assert "img/s" in demo.first.err
    assert "img/s" not in demo.again.stderr


def test_the_terminal_has_table_paper_figures_caveat_and_paths(demo):
    out = demo.again.stdout
    for name in ("Baseline CNN", "Mini-ResNet", "ResNet-18, skip", "ResNet-18, no skip"):
        assert name in out
    for published in ("84.1", "87.0", "89.9", "86.0", "210"):
        assert published in out
    assert "another data set" in out
    for name in ("table.md", "table.csv", "table.json", "page.html", "figures"):
        assert f"outputs/tables/liu_goh/digits/{name}" in out
        assert (demo.table / name).stat().st_size > 0


def test_every_figure_is_recomputed_from_the_predictions(demo):
    """With numpy, statistics and scikit-learn alone, starting from the stored logits."""
    with (demo.table / "table.csv").open() as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    cells = json.loads((demo.table / "table.json").read_text())["cells"]
    for model, row in rows.items():
        mine = [cell for cell in cells if cell["model"] == model]
        assert [cell["seed"] for cell in mine] == [0, 1]
        accuracies = []
        for cell in mine:
            stored = np.load(demo.folder / cell["run"] / "predictions.npz")
            accuracies.append(100 * accuracy_score(stored["labels"], stored["logits"].argmax(1)))
        mean, std = statistics.mean(accuracies), statistics.stdev(accuracies)
        assert float(row["accuracy"]) == pytest.approx(mean)
        assert float(row["std"]) == pytest.approx(std)
        assert int(row["n"]) == 2
        assert float(row["difference"]) == pytest.approx(mean - float(row["published_accuracy"]))
        minutes = statistics.mean(cell["record"]["seconds"] for cell in mine) / 60
        assert float(row["minutes"]) == pytest.approx(minutes)
        assert f"{mean:.2f} ± {std:.2f}" in (demo.table / "table.md").read_text()
        assert f"{mean:.2f} ± {std:.2f}" in demo.first.out


def test_parameters_are_the_paper_s_less_two_channels_of_the_stem(demo):
    published = {
        "Baseline CNN": 391_946 - 2 * 9 * 32,
        "Mini-ResNet": 2_798_698 - 2 * 9 * 32,
        "ResNet-18, skip": 11_178_186 - 2 * 9 * 64,
        "ResNet-18, no skip": 11_000_138 - 2 * 9 * 64,
    }
    for (model, _), record in demo.records().items():
        assert record["parameters"] == published[model]


def test_the_curves_are_a_picture_with_something_on_it(demo):
    picture = Image.open(demo.table / "figures/curves.png")
    assert picture.size[0] >= 1000
    colors = {color for _, color in picture.convert("RGB").getcolors(1 << 24)}
    for expected in ("0072B2", "D55E00", "009E73", "CC79A7"):
        assert tuple(bytes.fromhex(expected)) in colors


def run_of(demo, model, seed) -> Path:
    cells = json.loads((demo.table / "table.json").read_text())["cells"]
    (run,) = [cell["run"] for cell in cells if (cell["model"], cell["seed"]) == (model, seed)]
    return demo.folder / run


@pytest.fixture
def copy(demo, tmp_path):
    """The demo's outputs, to spoil; checkpoints are shared, so they are to be replaced."""

    def link_or_copy(source: str, target: str) -> None:
        (os.link if source.endswith(".ckpt") else shutil.copy2)(source, target)

    outputs = demo.folder / "outputs"
    shutil.copytree(outputs, tmp_path / "outputs", copy_function=link_or_copy)
    return Demo(tmp_path)


def test_a_missing_cell_is_shown_as_such_and_is_the_only_one_run(demo, copy):
    shutil.rmtree(run_of(copy, "Baseline CNN", 1))
    rendered = run_undrawn(copy.folder, "table", *copy.arguments[1:])
    assert rendered.code != 0
    assert "Baseline CNN, seed 1: missing" in rendered.out
    assert "1/2" in rendered.out
    assert "Baseline CNN, seed 1: missing" in (copy.table / "table.md").read_text()
    before = {p: p.stat().st_mtime_ns for p in copy.folder.glob("outputs/runs/*/metrics.json")}
    again = run_undrawn(copy.folder, *copy.arguments)
    assert again.code == 0, again.err
    assert re.findall(r"^\[.*", again.err, re.MULTILINE)[0].startswith("[1/1] Baseline CNN, seed 1")
    assert len(re.findall(r"^\[", again.err, re.MULTILINE)) == 1
    after = {p: p.stat().st_mtime_ns for p in copy.folder.glob("outputs/runs/*/metrics.json")}
    assert len(after) == 8
    assert all(after[path] == mtime for path, mtime in before.items())
    ours = copy.records()["Baseline CNN", 1]
    assert ours["test/accuracy"] == demo.records()["Baseline CNN", 1]["test/accuracy"]


def test_a_failed_cell_is_listed_and_the_others_finish(copy):
    broken, missing = (run_of(copy, "Baseline CNN", seed) for seed in (0, 1))
    (broken / "metrics.json").unlink()
    checkpoint = broken / "checkpoints/last.ckpt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.unlink()
    checkpoint.write_bytes(content)
    shutil.rmtree(missing)
    finished = run_undrawn(copy.folder, *copy.arguments)
    assert finished.code != 0
    assert "Baseline CNN, seed 0" in finished.err
    assert "SHA-256" in finished.err
    assert "Baseline CNN, seed 0: failed" in finished.out
    assert (missing / "metrics.json").exists()
    rendered = run_undrawn(copy.folder, "table", *copy.arguments[1:])
    assert "failed" in rendered.out
    assert rendered.code != 0


def test_a_killed_table_skips_finished_cells_and_resumes_the_broken_one(copy):
    killed, missing = (run_of(copy, "Baseline CNN", seed) for seed in (0, 1))
    expected = copy.records()["Baseline CNN", 0]["test/accuracy"]
    shutil.rmtree(killed)
    shutil.rmtree(missing)
    arguments = (*copy.arguments, "checkpoint_every=0")
    assert run(copy.folder, *arguments, kill=("step", 3)).killed
    again = run_undrawn(copy.folder, *arguments)
    assert again.code == 0, again.err
    assert "resuming at step 2" in again.err
    assert len(re.findall(r"^\[", again.err, re.MULTILINE)) == 2
    assert copy.records()["Baseline CNN", 0]["test/accuracy"] == expected


def test_the_plan_lists_cells_and_the_time_of_the_rest(demo, copy):
    shutil.rmtree(run_of(copy, "Baseline CNN", 1))
    planned = run(copy.folder, *copy.arguments, "--plan")
    assert planned.code == 0, planned.err
    seconds = demo.records()["Baseline CNN", 0]["seconds"]
    assert f"7 of 8 cells are done; about {seconds:.0f} s left" in planned.out
    (line,) = [line for line in planned.out.splitlines() if "missing" in line]
    assert line.split()[:3] == ["Baseline", "CNN", "1"]
    assert len(re.findall(r"\bfinished\b", planned.out)) == 7
    assert not run_of(copy, "Baseline CNN", 1).exists(), "a plan runs nothing"


def test_the_latex_table_has_the_markdown_s_figures(demo):
    text = (demo.table / "table.tex").read_text()
    body = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    latex = [line.removesuffix(" \\\\").split(" & ") for line in body.splitlines()]
    markdown = [
        line.strip("| ").split(" | ")
        for line in (demo.table / "table.md").read_text().partition("\n| Pair")[0].splitlines()
        if line.startswith("| ")
    ]
    assert [[c.replace("$\\pm$", "±") for c in row] for row in latex] == markdown[2:]
    for command in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert text.count(command) == text.count("\\begin{tabular}") == 2  # rows, and pairs
    assert not re.search(r"(?<!\\)[%_&#](?! )", body.replace(" & ", ""))


def test_runs_by_seed_are_mean_and_standard_deviation(demo):
    listed = run(demo.folder, "runs", "--by-seed")
    assert listed.code == 0, listed.err
    rows = [line for line in listed.out.splitlines() if line.startswith("digits-")]
    assert len(rows) == 4
    for model, name in [("Mini-ResNet", "digits-mini_resnet"), ("Baseline CNN", "digits-baseline")]:
        tests = [100 * demo.records()[model, seed]["test/accuracy"] for seed in (0, 1)]
        expected = f"{statistics.mean(tests):.2f} ± {statistics.stdev(tests):.2f}"
        (row,) = [row for row in rows if row.startswith(name)]
        assert row.rstrip().endswith(expected)
        assert row.split()[1] == "2"
