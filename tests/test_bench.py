"""The measurement of speed: what it counts, compares and says."""

import itertools
import json
import subprocess
import sys
import tempfile
from functools import partial

import pytest
import torch
from click.testing import CliRunner

from processes import run
from reslab.bench import prediction, training
from reslab.bench.compare import compare, order_of, parse_request, summarize
from reslab.bench.report import file_name, markdown
from reslab.bench.setup import prepare
from reslab.bench.stopwatch import WARMUP_STEPS, Stopwatch
from reslab.bench.variants import measure
from reslab.cli import cli
from reslab.config import compose
from reslab.errors import UserError
from reslab.predicting import engine
from training import SMALL

QUICK = ("dataset=digits", *SMALL, "bench.seconds=0.2", "bench.rounds=1")


@pytest.mark.long
def test_the_json_has_what_was_measured_of_the_user_s_own_configuration(tmp_path):
    own = tmp_path / "own/model"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("defaults: [mini_resnet, _self_]\nwidths: [8, 8, 8, 8]\n")
    mine = ("--config-dir", "own", *QUICK, "model=mine")
    finished = run(tmp_path, "bench", "train", *mine, "--json")
    assert finished.code == 0, finished.err
    content = json.loads(finished.out)
    assert set(content["variants"]) == {"script", "loop", "reslab"}
    speed = {name: v["images_per_second"] for name, v in content["variants"].items()}
    for variant in content["variants"].values():
        assert variant["images_per_second"] == pytest.approx(64_000 / variant["ms_per_step"], 1e-3)
        assert variant["peak_memory_bytes"] > 50e6
        assert variant["steps"] >= 5
        assert isinstance(variant["others_cpu"], float)
    assert content["device"] == "cpu"
    assert content["ratios"]["reslab/script"] == pytest.approx(speed["reslab"] / speed["script"])
    assert content["ratios"]["reslab/loop"] == pytest.approx(speed["reslab"] / speed["loop"])
    assert 0.5 < content["seconds_to_first_step"] < 300
    assert "cores" in content["hardware"]
    assert 0 < content["data_share_of_step"] < 0.9
    (record,) = (tmp_path / "outputs/bench").glob("train-digits-*mine*.json")
    assert json.loads(record.read_text()) == [content]


@pytest.mark.long
def test_an_axis_is_a_table_and_a_curve_and_pictures_may_be_files(in_empty_folder, monkeypatch):
    """The variants run in this process, for six of their own take a minute to begin."""
    monkeypatch.setattr("reslab.bench.compare._run", lambda *asked: measure(*asked[:3]))
    monkeypatch.setattr(tempfile, "tempdir", str(in_empty_folder))
    asked = ("bench.files=true", "bench.batch_size=8,32")
    finished = CliRunner().invoke(cli, ["bench", "predict", *QUICK, *asked])
    assert finished.exit_code == 0, finished.output
    rows = [line.split() for line in finished.stdout.splitlines()]
    assert [row[1] for row in rows if row and row[0] == "reslab"] == ["8", "32"]
    (curve,) = (in_empty_folder / "outputs/bench").glob(
        "predict-digits-*-batch_size-8-32-files-true.png"
    )
    points = json.loads(curve.with_suffix(".json").read_text())
    given = [[f"bench.batch_size={size}", "bench.files=true"] for size in (8, 32)]
    assert [point["given"] for point in points] == given
    assert all(point["files"] for point in points)
    assert all(variant["steps"] >= 5 for point in points for variant in point["variants"].values())
    assert curve.stat().st_size > 10_000


def test_files_are_not_for_training(tmp_path):
    refused = run(tmp_path, "bench", "train", *QUICK, "bench.files=true")
    assert "bench.files is for predict" in refused.error_line()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("bench.files=3", "bench.files"),
        ("bench.second=3", "did you mean bench.seconds"),
        ("bench.rounds=0", "bench.rounds"),
        ("bench.rounds=1,2", "batch_size and num_images"),
        ("bench.batch_size=1,2 bench.num_images=3,4", "batch_size and num_images"),
        ("optimzer.lr=1", "optimizer"),
        ("trainer.precision=64-true", "is not measured, only auto"),
        ("trainer.devices=2", "trainer.devices=2 is not measured, only 1"),
        ("trainer.accelerator=mps", "is not measured, only auto"),
        ("optimizer.lr=1e30", "optimizer.lr must be"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_measured(override, named):
    with pytest.raises(UserError, match=named):
        parse_request(override.split())


ONE = {"peak_memory_bytes": 1, "steps": 5, "seconds_to_first_step": 2.0, "others_cpu": 0.01}
ONE |= {"environment": {"hardware": "x"}}


def test_no_variant_always_comes_first_or_after_the_same_one():
    for rounds in (3, 6):
        turns = [variant for number in range(rounds) for variant in order_of(number)]
        before = {variant: set() for variant in turns}
        for first, second in itertools.pairwise(turns):
            before[second].add(first)
        assert all(len(others - {variant}) == 2 for variant, others in before.items())
        assert {*turns[::3]} == {*turns}


def test_medians_ranges_and_ratios_by_hand():
    def rounds(*times):
        return [ONE | {"ms_per_step": time, "images_per_second": 60_000 / time} for time in times]

    summary = summarize(
        {"script": rounds(40, 20, 30), "loop": rounds(10, 11, 9), "reslab": rounds(12, 10, 20)}
    )
    assert summary["variants"]["script"]["images_per_second"] == 2000
    assert summary["variants"]["reslab"]["ms_per_step_range"] == [10, 20]
    assert summary["ratios"]["reslab/script"] == pytest.approx(30 / 12)
    assert summary["ratios"]["reslab/loop"] == pytest.approx(10 / 12)
    assert summary["overhead_us_per_step"] == pytest.approx(2000)  # round by round
    assert summary["overhead_us_per_step_range"] == pytest.approx([-1000, 11_000])
    assert "data_share_of_step" not in summary


def test_the_data_path_s_share_is_of_reslab_s_step():
    one = ONE | {"ms_per_step": 10, "images_per_second": 6_000}
    loop = [one | {"data_ms_per_step": ms} for ms in (0.3, 0.1, 0.2)]
    reslab = [one | {"ms_per_step": 20}] * 3
    summary = summarize({"script": [one], "loop": loop, "reslab": reslab})
    assert summary["data_share_of_step"] == pytest.approx(0.2 / 20)


class TenSteps(Stopwatch):
    """Says after ten steps that enough were seen; counts the ends of epochs."""

    pauses = 0

    def resume(self):
        self.pauses += bool(self._paused)
        super().resume()

    def step(self, num_images):
        super().step(num_images)
        return self.steps == 10 - WARMUP_STEPS


@pytest.mark.slow
@pytest.mark.parametrize("asked", [(), ("+trainer.gradient_clip_val=0.01",), ("max_steps=3",)])
def test_the_loop_trains_as_reslab_does(asked, monkeypatch):
    short = ("trainer=exact", "trainer.quiet=true", "dataset.batch_size=256")  # two epochs begin
    cfg = compose(["dataset=digits", "model=mini_resnet", "model.widths=[8,8,8,8]", *short, *asked])
    networks = {}

    def keeping(name, function, task_of):
        def called(*arguments, **options):
            made = function(*arguments, **options)
            networks[name] = task_of(made).network
            return made

        return called

    monkeypatch.setattr(training, "build", keeping("reslab", training.build, lambda run: run.task))
    build_own = keeping("loop", training.build_task, lambda task: task)
    monkeypatch.setattr(training, "build_task", build_own)
    for variant, ends in ((training.loop, 0), (training.reslab, 2)):  # four steps an epoch
        watch = TenSteps(0.0, torch.device("cpu"))
        variant(cfg.copy(), prepare(cfg, None, "train"), watch)
        assert watch.pauses == ends
    after = [networks[name].state_dict() for name in ("loop", "reslab")]
    assert all(torch.equal(after[0][key], after[1][key]) for key in after[0])


@pytest.mark.long
@pytest.mark.parametrize("variant", ["script", "loop", "reslab"])
def test_the_variants_of_files_read_them(variant, monkeypatch):
    def write_no_picture(data, folder):
        (folder / "0").mkdir()
        (folder / "0/000000.png").write_text("no picture")

    cfg = compose(["dataset=digits", "dataset.batch_size=4"])
    monkeypatch.setattr(prediction, "write_pictures", write_no_picture)
    rows = []
    monkeypatch.setattr(prediction, "report", lambda stream, *_: rows.extend(stream))
    measured = getattr(prediction, f"{variant}_of_files")
    arguments = cfg, prepare(cfg, None, "test"), Stopwatch(0.0, torch.device("cpu"))
    if variant == "reslab":
        measured(*arguments)
        (problem,) = {row.problem for row in rows}
        assert problem.startswith("not a picture (PNG, JPEG, ")
    else:
        with pytest.raises(Exception, match=r"not a picture|cannot identify image file"):
            measured(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("asked", [True, False, None])
def test_inference_is_compiled_where_that_is_asked_for_in_loop_and_reslab_alike(asked, monkeypatch):
    calls = []

    def compiled(function, device):
        calls.append(device.type)
        return function

    monkeypatch.setattr(prediction, "compiled", compiled)
    monkeypatch.setattr(engine, "compiled", compiled)
    chosen = "null" if asked is None else str(asked)
    cfg = compose(["dataset=digits", "model=mini_resnet", f"trainer.compile={chosen}"])
    for variant in (prediction.script, prediction.loop, prediction.reslab):
        watch = Stopwatch(0.0, torch.device("cpu"))
        variant(cfg, prepare(cfg, None, "test"), watch)
        assert watch.measurement().steps == 5
    assert calls == (["cpu", "cpu"] if asked else [])


def test_values_of_an_axis_are_measured_once_and_in_order():
    assert parse_request(["bench.batch_size=16,8,16"]).values == (8, 16)


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL: is there enough"),
        ("import sys; sys.exit('some fault')", "failed: some fault"),
    ],
)
def test_a_variant_that_ends_early_says_why(code, named, monkeypatch):
    ends = partial(subprocess.run, [sys.executable, "-c", code])
    monkeypatch.setattr("reslab.bench.compare.subprocess.run", lambda _, **options: ends(**options))
    with pytest.raises(UserError, match=named):
        next(compare("train", parse_request(["dataset=digits"])))


def test_places_that_cannot_be_written_are_found_before_anything_is_measured(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing of benchmarks")
    refused = run(tmp_path, "bench", "train", *QUICK, "--readme", "README.md")
    assert "README.md has no <!-- bench -->" in refused.error_line()
    refused = run(tmp_path, "bench", "train", *QUICK, "--output", "README.md")
    assert "README.md" in refused.error_line()


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(UserError, match="less than one batch of 64"):
        prepare(compose(["dataset=digits", "dataset.batch_size=64"]), 63, "train")


def test_only_the_half_in_use_is_repeated():
    cfg = compose(["dataset=digits"])
    data = prepare(cfg, 3_000, "test")
    assert len(data.test_labels) == len(data.test_images) == 3_000
    own = prepare(cfg, None, "test")
    number = len(own.test_labels)
    assert torch.equal(data.test_images[number : 2 * number], own.test_images)
    assert torch.equal(data.train_images, own.train_images)


def test_files_are_called_by_all_that_was_asked():
    asked = ("recipe=liu_goh/mini_resnet", "trainer.quiet=true", "model.widths=[8,16]")
    assert file_name("train", asked) == "train-liu_goh-mini_resnet-quiet-true-widths-8-16"
    assert file_name("train", ["join=none"]) != file_name("train", ["augment=none"])
    given = ("dataset=digits", "bench.files=true", "bench.batch_size=8,16")
    assert file_name("predict", given) == "predict-digits-files-true-batch_size-8-16"


def test_the_readme_says_where_and_how_a_row_was_measured():
    one = {"images_per_second": 10.0, "images_per_second_range": [9.0, 11.0]}
    point = {"task": "train", "overrides": ["model=a"], "batch_size": 8}
    point |= {"variants": dict.fromkeys(("script", "loop", "reslab"), one)}
    point |= {"ratios": {"reslab/script": 1.0, "reslab/loop": 1.0}, "hardware": "one, 2 cores"}
    point |= {"overhead_us_per_step": 123.4}
    new = {"given": ["bench.batch_size=8"], "date": "2026-01-02", "versions": {"torch": "2.14"}}
    new |= {"precision": "32-true", "hardware": "a card", "data_share_of_step": 0.04}
    new |= {"device": "cuda", "host": "another, 16 cores", "tf32": True}
    new |= {"overrides": ["model=resnet18"], "overhead_us_per_step_range": [-9.0, 456.0]}
    rows = markdown([point, point | new]).splitlines()
    assert rows[2].startswith("| `train model=a` | 8 | 10 (9 to 11) |")
    assert rows[2].endswith("| one, 2 cores, precision not recorded |")
    assert rows[3].startswith("| `train model=resnet18 bench.batch_size=8` |")
    assert rows[3].endswith(
        "| +123 (-9 to +456) | a card, in another, 16 cores, 32-true (TF32), torch 2.14, 2026-01-02 |"
    )
    older = [row for row in rows if row.startswith("- Rows without a date were measured by an")]
    assert len(older) == 1
    assert not any("without a date" in row for row in markdown([point | new]).splitlines())
    what = "train model=resnet18 bench.batch_size=8"
    assert f"- Of a step, the data path alone takes 4.0% (`{what}`)." in rows
    missing = [row for row in rows if "not yet measured" in row]
    assert len(missing) == 1
    assert "its inference" in missing[0]
