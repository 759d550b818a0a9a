"""Watching runs in the studio: what the figures draw, told anew as it is written."""

import io
import os
from types import SimpleNamespace
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from browser import visited
from reslab import locks
from reslab.callbacks import progress as progress_module
from reslab.callbacks.progress import MOST_LOSSES, ShowProgress
from reslab.evaluation.palette import COLORS
from reslab.progress import Progress
from reslab.studio import scan as scanning
from studio import served, write_run

METRICS = ("train/loss", "train/accuracy", "val/loss", "val/accuracy")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(scanning, "SECONDS_BETWEEN_LOOKS", 0)


def write_epochs(folder, epochs, seed=0):
    """A `metrics.csv` with numbers of chance, as a frame too."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"epoch": range(1, epochs + 1), "step": 20 * np.arange(1, epochs + 1)})
    frame["lr"] = 0.1
    for name in METRICS:
        frame[name] = random.uniform(0.1, 0.9, epochs)
    frame["train_seconds"] = random.uniform(1, 2, epochs)
    frame["seconds"] = frame["train_seconds"] + 1
    replace(folder / "metrics.csv", frame.to_csv(index=False))
    return frame


def replace(path, text):
    """As runs do it: another file in its place."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


@pytest.fixture
def runs(tmp_path):
    """Three seeds of one, of which the last is behind, and another run."""
    frames = {}
    for seed, epochs in enumerate((9, 9, 4)):
        folder = write_run(tmp_path, f"seed-{seed}", seed=seed)
        frames[f"seed-{seed}"] = write_epochs(folder, epochs, seed)
    frames["other"] = write_epochs(write_run(tmp_path, "other", lr=0.2), 6, 7)
    return SimpleNamespace(folder=tmp_path, frames=frames, names=list(frames))


@pytest.fixture
def studio(runs):
    with served(runs.folder) as studio:
        yield studio


def path(names, view="curves", **more):
    return f"/api/watch/{view}?{urlencode([*(('run', name) for name in names), *more.items()])}"


def series(studio, names, **more):
    answer = studio.ask(path(names, **more))
    assert answer.status == 200, answer.body
    return answer.json


def lines(one, figure):
    """A figure's lines by what they are called."""
    source = one["figures"][figure]["lines"]
    columns = (source[key] for key in ("name", "xs", "ys"))
    return {name: (xs, ys) for name, xs, ys in zip(*columns, strict=True)}


def test_seeds_are_one_line_of_their_mean_on_the_band_from_the_least_to_the_most(studio, runs):
    first, other = series(studio, runs.names)["series"]
    assert first["name"] == "digits-baseline_cnn lr=0.1, 3 seeds"
    assert other["name"] == "digits-baseline_cnn lr=0.2, seed 0"
    assert [first["color"], other["color"]] == list(COLORS[:2])
    together = pd.concat([runs.frames[f"seed-{seed}"] for seed in range(3)])
    together = together[together["epoch"] <= 4]  # where the shortest ends
    for figure, part, scale in [("loss", "val", 1), ("accuracy", "train", 100)]:
        expected = scale * together.groupby("epoch")[f"{part}/{figure}"].agg(["mean", "min", "max"])
        words = {"val": "validation", "train": "training"}[part]
        xs, ys = lines(first, figure)[f"{first['name']}, {words} (n = 3)"]
        assert xs == list(expected.index)
        np.testing.assert_allclose(ys, expected["mean"])
        at = ["train", "val"].index(part)
        band = first["figures"][figure]["bands"]
        np.testing.assert_allclose(band["ys"][at][:4], expected["min"])
        np.testing.assert_allclose(band["ys"][at][4:], expected["max"][::-1])
        assert band["xs"][at] == [*xs, *reversed(xs)]
    assert other["figures"]["loss"]["bands"]["xs"] == []


def test_beyond_the_shortest_seed_each_goes_on_by_itself_and_faint(studio, runs):
    first, _ = series(studio, runs.names)["series"]
    source = first["figures"]["throughput"]["lines"]
    assert source["name"] == [
        *(f"{first['name']} (n = 3)", "seed-0, beyond the mean", "seed-1, beyond the mean")
    ]
    assert source["alpha"][1:] == [0.25, 0.25]
    for xs, ys, name in list(zip(source["xs"], source["ys"], runs.names[-1:] + runs.names))[1:]:
        assert xs == list(range(4, 10))
        np.testing.assert_allclose(ys, 20 * 64 / runs.frames[name]["train_seconds"][3:])


def test_an_epoch_that_one_seed_has_no_number_for_is_not_in_the_mean(studio, runs):
    frame = runs.frames["seed-1"]
    frame.loc[1, "val/loss"] = float("nan")
    replace(runs.folder / "seed-1/metrics.csv", frame.to_csv(index=False))
    together = pd.concat([runs.frames[f"seed-{seed}"] for seed in range(3)])
    expected = together.groupby("epoch")["val/loss"].agg(["mean", "count"])
    (one,) = series(studio, runs.names[:3], part="val")["series"]
    xs, ys = lines(one, "loss")[f"{one['name']}, validation (n = 3)"]
    assert xs == [1, 3, 4]
    np.testing.assert_allclose(ys, [expected["mean"][at] for at in xs])
    # A seed that has not ended its first epoch has no part in it.
    write_epochs(runs.folder / "seed-2", 0)
    (one,) = series(studio, runs.names[:3], part="train")["series"]
    ((name, (xs, ys)),) = lines(one, "loss").items()
    assert name.endswith("3 seeds, training (n = 2)")
    expected = pd.concat([runs.frames["seed-0"], runs.frames["seed-1"]]).groupby("epoch")
    np.testing.assert_allclose(ys, expected["train/loss"].mean())


def test_each_run_has_its_line_where_seeds_are_not_folded_and_a_part_may_be_left_out(studio, runs):
    answer = series(studio, runs.names, each=1, part="val", theme="dark")
    assert answer["order"] == runs.names
    for one, name in zip(answer["series"], runs.names, strict=True):
        assert one["key"] == name
        ((_, ys),) = lines(one, "loss").values()
        assert ys == runs.frames[name]["val/loss"].tolist()


@pytest.mark.parametrize("weight", [0.3, 0.9])
def test_smoothing_is_the_debiased_exponential_mean_beside_what_it_was_made_of(
    studio, runs, weight
):
    frame = runs.frames["other"]
    (one,) = series(studio, ["other"], smooth=weight)["series"]
    drawn = lines(one, "accuracy")
    raw = 100 * frame["val/accuracy"]
    expected = raw.ewm(alpha=1 - weight, adjust=True).mean()
    np.testing.assert_allclose(drawn[f"{one['name']}, validation"][1], expected)
    np.testing.assert_allclose(drawn[f"{one['name']}, validation, not smoothed"][1], raw)
    assert len(lines(one, "lr")) == 1  # which is never smoothed


def test_time_is_that_of_all_epochs_and_throughput_that_of_training_alone(studio, runs):
    frame = runs.frames["other"]
    (one,) = series(studio, ["other"], x="minutes")["series"]
    ((xs, ys),) = lines(one, "throughput").values()
    np.testing.assert_allclose(xs, frame["seconds"].cumsum() / 60)
    np.testing.assert_allclose(ys, 20 * 64 / frame["train_seconds"])  # steps of 64 images


def test_only_series_of_which_something_changed_are_told_again_even_if_they_get_shorter(
    studio, runs
):
    cursor = series(studio, runs.names)["cursor"]
    assert series(studio, runs.names, since=cursor)["series"] == []
    for epochs in (7, 3, 0):
        frame = write_epochs(runs.folder / "other", epochs, seed=1)
        answer = series(studio, runs.names, since=cursor)
        (one,) = answer["series"]
        found = [ys for _, ys in lines(one, "loss").values()]
        assert found == ([frame[name].tolist() for name in METRICS[::2]] if epochs else [])
        assert len(answer["order"]) == 2
        cursor = answer["cursor"]
    assert series(studio, ["other", "gone"])["missing"] == ["gone"]
    # Other choices are other lines.
    assert len(series(studio, runs.names, since=cursor, smooth=0.5)["series"]) == 2
    assert series(studio, ["other", "gone"])["notes"] == [
        ["error", "gone is not among the runs any more"]
    ]


def test_a_single_epoch_is_a_dot_and_what_is_no_number_is_left_out(studio, runs):
    write_epochs(runs.folder / "other", 1)
    (one,) = series(studio, ["other"])["series"]
    assert len(one["figures"]["loss"]["dots"]["x"]) == 2
    text = "epoch,val/loss,seconds\n1,0.5,1\n2,nan,1\n3,inf,1\n4,0.25,1\n5,0.1"
    replace(runs.folder / "other/metrics.csv", text)
    (one,) = series(studio, ["other"])["series"]
    assert list(lines(one, "loss").values()) == [([1, 4], [0.5, 0.25])]
    for spoilt in ("", "\0\xff", "epoch\n", "<html>\n<p>"):
        replace(runs.folder / "other/metrics.csv", spoilt)
        (one,) = series(studio, ["other"])["series"]
        assert lines(one, "loss") == {}


@pytest.mark.parametrize("foreign", ["many", None, [1]])
def test_a_foreign_configuration_has_its_curves_all_the_same(studio, runs, foreign):
    path = runs.folder / "other/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["seed"] = config["dataset"]["batch_size"] = foreign
    replace(path, yaml.safe_dump(config))
    (one,) = series(studio, ["other"])["series"]
    assert len(lines(one, "loss")) == 2
    assert lines(one, "throughput") == {}


def test_while_an_epoch_is_under_way_its_batches_are_drawn(studio, runs):
    losses = ((1, 2.0), (5, 1.5), (9, float("nan")))  # and the last that was read
    progress = Progress(3, 5, 10, 20, 0.5, 1.0, 0.1, 100.0, 200.0, losses)
    progress.write(runs.folder / "other/progress.json")
    assert not series(studio, runs.names)["live"]
    with locks.held(runs.folder / "other/run.lock"):
        answer = series(studio, ["other"])
        assert answer["live"]
        assert answer["notes"] == [["hint", "other: epoch 3 of 5, 3 min left"]]
        drawn = lines(answer["series"][0], "batches")
        assert drawn == {"other": ([2.05, 2.25, 2.5], [2.0, 1.5, 1.0])}
        # One of an older version says no losses.
        text = (runs.folder / "other/progress.json").read_text()
        replace(runs.folder / "other/progress.json", text.partition(', "losses"')[0] + "}")
        answer = series(studio, ["other"], since=answer["cursor"])
        assert lines(answer["series"][0], "batches") == {"other": ([], [])}
    assert lines(series(studio, ["other"])["series"][0], "batches") == {}


def test_losses_within_an_epoch_go_on_to_span_it_however_many_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_READS", -1)
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_WRITES", -1)
    torch = pytest.importorskip("torch")
    shows = ShowProgress(tmp_path / "progress.json", bar=False)
    trainer = SimpleNamespace(
        num_training_batches=1000,
        max_epochs=2,
        global_step=0,
        current_epoch=0,
        datamodule=SimpleNamespace(batch_size=8),
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
    )
    shows.on_train_start(trainer, None)
    shows.on_train_epoch_start(trainer, None)
    for step in range(1000):
        trainer.global_step += 1
        module = SimpleNamespace(last_loss=torch.tensor(1 / (step + 1)))
        shows.on_train_batch_end(trainer, module, None, None, step)
    losses = Progress.read(tmp_path / "progress.json").losses
    steps = [step for step, _ in losses]
    assert MOST_LOSSES / 2 <= len(steps) <= MOST_LOSSES
    assert len(set(np.diff(steps))) == 1
    assert (steps[0], steps[-1] > 980) == (1, True)
    np.testing.assert_allclose(
        [loss for _, loss in losses], [1 / step for step in steps], rtol=1e-6
    )
    shows.on_train_epoch_start(trainer, None)
    shows.on_train_batch_end(trainer, module, None, None, 0)
    assert [step for step, _ in Progress.read(tmp_path / "progress.json").losses] == [1]


def test_gradients_are_a_line_a_layer_and_the_log_is_told_to_its_end(studio, runs):
    ask = lambda **more: studio.ask(path(["other"], "details", **more)).json  # noqa: E731
    assert ask()["gradients"] is None
    assert ask()["log"] == "This run kept no log."
    with locks.held(runs.folder / "other/run.lock"):
        assert ask()["log"] == "Nothing yet."
    rows = [
        (epoch, name, way, epoch + depth / 10)
        for epoch in range(3)
        for depth, (name, way) in enumerate(
            [("stem", "main"), ("block", "main"), ("join", "skip"), ("head", "main")]
        )
    ]
    frame = pd.DataFrame(rows, columns=["epoch", "layer", "path", "norm"])
    replace(runs.folder / "other/gradients.csv", frame.to_csv(index=False))
    (runs.folder / "other/log.txt").write_text("".join(f"line {at}\n" for at in range(10_000)))
    answer = ask()
    drawn = answer["gradients"]
    assert drawn["name"] == ["stem", "block", "join", "head"]
    assert drawn["depth"] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert drawn["dash"] == ["solid", "solid", "dashed", "solid"]
    for name, xs, ys in zip(drawn["name"], drawn["xs"], drawn["ys"], strict=True):
        mine = frame[frame["layer"] == name]
        assert (xs, ys) == (mine["epoch"].tolist(), mine["norm"].tolist())
    said = answer["log"].splitlines()
    assert said == [f"line {at}" for at in range(10_000 - len(said), 10_000)]
    assert 100 < len(said) < 10_000
    assert ask(since=answer["cursor"]).keys() == {"run", "cursor"}
    # Older versions wrote no path.
    replace(runs.folder / "other/gradients.csv", frame.drop(columns="path").to_csv(index=False))
    answer = ask(since=answer["cursor"])
    assert answer["gradients"] == drawn
    assert "log" not in answer


def test_a_figures_numbers_are_csv_that_no_spreadsheet_runs(studio, runs):
    def numbers(names, **more):
        answer = studio.ask(path(names, "numbers", **more))
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert "attachment" in answer.headers["Content-Disposition"]
        return pd.read_csv(io.BytesIO(answer.body))

    write_run(runs.folder, "=1+1", failure="no data")
    (runs.folder / "=1+1/config.yaml").unlink()
    write_epochs(runs.folder / "=1+1", 3)
    table = numbers([*runs.names, "=1+1"], of="loss", part="val", hide="other", each=1)
    assert list(table) == ["Line", "Epoch", "Loss"]
    assert set(table["Line"]) == {
        *(f"digits-baseline_cnn lr=0.1, seed {seed}, validation" for seed in range(3)),
        "'=1+1, validation",
    }
    mine = table[table["Line"].str.contains("seed 1")]
    assert mine["Loss"].tolist() == runs.frames["seed-1"]["val/loss"].tolist()
    assert list(numbers(["other"], of="lr", x="minutes"))[1:] == [
        *("Minutes of training", "Learning rate")
    ]
    assert len(numbers(["other"], of="gradients", of_run="other")) == 0


def test_what_is_no_choice_is_refused_with_a_sentence(studio):
    for more in (
        {"x": "nonsense"},
        {"part": "test"},
        {"smooth": "1"},
        {"smooth": "nan"},
        {"smooth": "a"},
    ):
        assert studio.ask(path(["other"], **more)).status == 400, more
    for figure in ({"of": "nonsense"}, {"of": "loss", "x": "nonsense"}):
        answer = studio.ask(f"/api/watch/figure?{urlencode(figure)}")
        assert (answer.status, "no figure" in answer.json["error"]) == (404, True)
    assert studio.ask(path(["../x"], "details")).status == 422
    for of in ("loss", "gradients", "batches"):
        plain, log = (studio.ask(f"/api/watch/figure?of={of}&log={log}").body for log in ("", "1"))
        assert b"LogScale" in log
        assert (b"LogScale" in plain) == (of == "gradients")


SOURCE = """(of) => Bokeh.documents.map((one) => one.roots()[0]).find((one) => one.name == of)"""


def drawn(page, of="loss"):
    """The numbers of a figure's lines."""
    code = f"""(of) => {{
      const plot = ({SOURCE})(of)
      const {{name, xs, ys}} = plot.document.get_model_by_name("lines").data
      return {{name, ys: ys.map((one) => [...one]), x: [plot.x_range.start, plot.x_range.end]}}
    }}"""
    return page.evaluate(code, of)


def until_drawn(page, number, of="loss"):
    page.wait_for_function(
        f"""([of, number]) => window.Bokeh && ({SOURCE})(of)?.document
          .get_model_by_name("lines").data.ys.some((one) => one.length == number)""",
        arg=[of, number],
        timeout=8000,
    )


@pytest.mark.long
def test_new_points_come_by_themselves_and_leave_the_zoom(studio, runs):
    query = urlencode([("run", name) for name in runs.names])
    with visited(f"{studio.address}#watch?{query}", accept_downloads=True) as page:
        page.goto(f"http://127.0.0.1:{studio.port}/#watch?{query}")
        until_drawn(page, 4)
        assert drawn(page)["ys"][6] == runs.frames["other"]["train/loss"].tolist()
        place = page.locator(".panel:has(h2:text-is('Loss')) .bk-Canvas").bounding_box()
        # A zoom by the mouse, which is the user's and stays.
        page.mouse.move(place["x"] + 150, place["y"] + 60)
        page.mouse.down()
        page.mouse.move(place["x"] + 300, place["y"] + 180, steps=5)
        page.mouse.up()
        page.wait_for_function("() => location.hash.includes('zoom-loss')")
        zoomed = drawn(page)["x"]
        assert zoomed[1] - zoomed[0] < 6
        frame = write_epochs(runs.folder / "other", 30, 7)
        until_drawn(page, 30)
        assert drawn(page)["ys"][6] == frame["train/loss"].tolist()
        assert drawn(page)["x"] == zoomed
        assert drawn(page, "accuracy")["x"][1] > 29  # of which nobody has chosen a part
        page.reload()
        until_drawn(page, 30)
        np.testing.assert_allclose(drawn(page)["x"], zoomed, rtol=1e-4)

        # The legend hides a line; a hover names the run and the value.
        page.get_by_role("button", name="digits-baseline_cnn lr=0.1, 3 seeds").click()
        page.wait_for_function(
            f"() => ({SOURCE})('lr')?.document.get_model_by_name('lines').data.ys.length == 1"
        )
        place = page.locator(".panel:has(h2:text-is('Learning rate')) .bk-Canvas").bounding_box()
        tip = page.locator(".bk-Tooltip:visible")
        for down in range(60):  # until it meets the line
            page.mouse.move(place["x"] + 280, place["y"] + place["height"] / 2 - 60 + 2 * down)
            if tip.count():
                break
        assert page.get_by_text("training", exact=True).first.is_visible()
        name, _, value = tip.locator(".bk-tooltip-row-value").all_inner_texts()
        assert (name, value) == ("digits-baseline_cnn lr=0.2, seed 0", "0.1")

        with page.expect_download() as download:
            page.get_by_role("button", name="Save Learning rate as CSV").click()
        table = pd.read_csv(download.value.path())
        assert (len(table), set(table["Learning rate"])) == (30, {0.1})
        with page.expect_download() as download:
            page.get_by_role("button", name="Save Loss as PNG").click()
        assert download.value.suggested_filename == "loss.png"
        with Image.open(download.value.path()) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 10, "it is drawn on"
        assert page.problems == []


@pytest.mark.long
def test_of_runs_that_are_gone_nothing_is_drawn_and_no_control_shown(studio):
    with visited(f"{studio.address}#watch?run=gone") as page:
        page.get_by_role("heading", name="None of these runs is there any more").wait_for()
        assert page.locator("main select:visible, main .panel:visible:not(.empty)").count() == 0
        page.wait_for_timeout(2500)
        assert not page.get_by_role("status").is_visible()
        assert page.problems == []
