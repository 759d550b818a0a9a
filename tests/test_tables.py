"""Tables as commands: which cells they have, and how they are launched and listed."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from processes import run, run_undrawn
from reslab.config import compose, list_options
from reslab.errors import UserError
from reslab.runs.identity import identity, run_name
from reslab.runs.store import RunDirectory
from reslab.tables.collect import collect
from reslab.tables.figures import draw_curves, draw_depth
from reslab.tables.findings import sum_up
from reslab.tables.gradients import draw_gradient_map, draw_gradients
from reslab.tables.page import write_page
from reslab.tables.plan import load_table
from reslab.tables.summaries import difference
from synthetic import ON_DIGITS, finish, own_table

pytestmark = pytest.mark.slow


def test_tables_are_named_or_suggested():
    table = load_table("liu_goh", ["dataset=digits", "seed=3,4"])
    assert [cell.seed for cell in table.cells] == [3, 4] * 4
    assert len({cell.directory.name for cell in table.cells}) == 8
    for cell in table.cells:
        cfg = compose(cell.overrides)  # as Hydra does when it launches the cell
        assert (cell.identity, cell.directory.name) == (identity(cfg), run_name(cfg))
    with pytest.raises(UserError, match="did you mean liu_goh"):
        load_table("liu_go")
    with pytest.raises(UserError, match="sweeps over seeds alone"):
        load_table("liu_goh", ["optimizer.lr=1,2"])
    with pytest.raises(UserError, match="did you mean"):
        load_table("liu_goh", ["optimzer.lr=1"])


def test_a_plan_without_records_says_so(tmp_path):
    planned = run(tmp_path, "reproduce", "liu_goh", "dataset=digits", "seed=0", "--plan")
    assert planned.code == 0, planned.err
    assert "0 of 4 cells are done; none to tell the time of the rest from" in planned.out


def test_runs_of_one_name_are_told_apart_by_what_differs(tmp_path):
    for overrides in (["seed=0"], ["seed=1"], ["seed=0", "optimizer.lr=0.5"]):
        cfg = compose(overrides)
        directory = RunDirectory(tmp_path / "outputs/runs" / run_name(cfg))
        directory.checkpoints.mkdir(parents=True)
        directory.write_config(cfg)
    lines = run(tmp_path, "runs", "--by-seed").out.splitlines()[2:]
    assert [line.split()[:3] for line in lines] == [
        ["digits-resnet18", "optimizer.lr=0.001", "0/2"],
        ["digits-resnet18", "optimizer.lr=0.5", "0/1"],
    ]


def test_a_foreign_folder_is_named_and_left_out(tmp_path):
    for name, content in [
        ("a", "foo: 1"),
        ("b", ""),
        ("c", "[1]"),
        ("d", "x: ["),
        ("e", "dataset: x"),
    ]:
        (tmp_path / "outputs/runs" / name).mkdir(parents=True)
        (tmp_path / "outputs/runs" / name / "config.yaml").write_text(content)
    listed = run(tmp_path, "runs", "--by-seed")
    assert listed.code == 0, listed.err
    assert listed.err.count("warning") == 5


def test_a_table_renders_in_a_process_of_its_own(tmp_path):
    """Nothing that only another command imports may be missing."""
    command = [sys.executable, "-m", "reslab", "table", "resnet3", "seed=0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    count = len(load_table("resnet3", ["seed=0"]).cells)
    assert f"{count} of {count} cells are missing" in done.stderr


@pytest.mark.long
def test_plain_beside_residual_over_depth_is_a_figure(in_empty_folder):
    """That it is among a table's, `test_page` sees."""
    asked = ("model=baseline_cnn", *ON_DIGITS, "seed=0")  # all one run
    finished = run_undrawn(in_empty_folder, "reproduce", "he2016", *asked)
    assert finished.code == 0, finished.err
    table = load_table("he2016", asked)
    findings = sum_up(table, collect(table))
    assert findings.missing == 0
    draw_curves(findings, Path("curves.png"))
    picture = Image.open(draw_depth(findings, Path("depth.png"))).convert("RGB")
    colors = {color for _, color in picture.getcolors(1 << 24)}
    assert tuple(bytes.fromhex("0072B2")) in colors, "the plain networks' line"
    assert tuple(bytes.fromhex("D55E00")) in colors, "the residual networks' line"
    rows = json.loads(Path("outputs/tables/he2016/digits/table.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [
        f"{kind}-{depth}" for kind in ("Plain", "ResNet") for depth in (20, 32, 44, 56, 110)
    ]
    residual = {row["model"]: row for row in rows}["ResNet-110"]
    assert residual["published_accuracy"] == pytest.approx(100 - 6.43)
    assert Path("curves.png").stat().st_size > 0


@pytest.mark.long
@pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning")
@pytest.mark.parametrize("value", ["nan", "inf", "0.0"])
def test_gradients_and_losses_that_are_no_numbers_do_not_keep_a_table_from_being_drawn(
    in_empty_folder, monkeypatch, value
):
    """All of one run's, as of a run that went astray; the other's are as they should be."""
    rows = "rows: [{name: Astray, recipe: resnet3}, {name: Well, recipe: liu_goh/baseline_cnn}]"
    own_table(in_empty_folder, f"title: Own\nseeds: [0]\n{rows}", monkeypatch)
    table = load_table("own", ON_DIGITS)
    for cell in table.cells:
        finish(cell)
    astray = table.cells[0].directory
    gradients = pd.read_csv(astray.gradients_file)
    gradients.assign(norm=float(value)).to_csv(astray.gradients_file, index=False)
    history = pd.read_csv(astray.metrics_file)
    history["train/loss"] = [float(value)] * 2 + list(history["train/loss"][2:])
    history.to_csv(astray.metrics_file, index=False)
    findings = sum_up(table, collect(table))
    assert findings.missing == 0
    assert write_page(findings, Path("page.html")).stat().st_size > 0
    for draw in (draw_curves, draw_gradients, draw_gradient_map):
        draw(findings, Path("picture"))
        with Image.open("picture.png") as picture:
            assert len(picture.convert("L").getcolors(2**20)) > 10


@pytest.mark.parametrize(
    ("ours", "published", "expected"),
    [(99.0, 98.5, 0.5), (99.4, [99.3, 99.5], 0), (99.0, [99.3, 99.5], -0.3), (95, [92, 94], 1)],
)
def test_a_difference_from_a_range_is_from_its_nearer_end(ours, published, expected):
    assert difference(ours, published) == pytest.approx(expected)


@pytest.mark.parametrize("table", list_options("table"))
def test_every_table_has_its_cells_and_renders_while_empty(table, tmp_path):
    rendered = run(tmp_path, "table", table, "seed=0")
    count = len(load_table(table, ["seed=0"]).cells)
    assert f"{count} of {count} cells are missing" in rendered.err
    assert rendered.code != 0
    assert rendered.out.count("missing") >= count
