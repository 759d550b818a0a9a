"""Comparing runs in the studio: what differs, how surely, and on which test images."""

import base64
import html
import io
from math import sqrt
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.stats import binomtest, t
from sklearn.datasets import load_digits

from browser import visited
from measure_studio import studio as studio_of_its_own
from reslab.runs.store import RunDirectory
from reslab.studio import scan as scanning
from reslab.studio.compare import _differing
from studio import AtHand, Heard, Served, served, trial, write_run, write_search

NAMES = [str(digit) for digit in range(10)]
# As the recipes of digits have it: its images come with scikit-learn.
DIGITS = {
    "_target_": "reslab.data.ImageData",
    "name": "digits",
    "source": {"_target_": "reslab.data.DigitsSource"},
    "data_dir": "data",
    "augment": {"_target_": "reslab.data.Augment"},
    "channels": 1,
    "num_classes": 10,
    "size": 8,
    "batch_size": 64,
    "val_size": 180,
    "split_seed": 0,
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(scanning, "SECONDS_BETWEEN_LOOKS", 0)


@pytest.fixture(scope="module")
def labels():
    """Those of the test set of digits, in its order."""
    from reslab.data import DigitsSource

    return DigitsSource().load(None).test_labels.numpy()


def finish(runs, run, labels, wrong, seed=0, lr=0.1, **dataset):
    """A finished run that took some test images for the next class."""
    folder = write_run(runs, run, seed=seed, lr=lr, test=1 - len(wrong) / len(labels))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["dataset"] = DIGITS | {"seed": seed} | dataset
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    said = labels.copy()
    said[list(wrong)] = (said[list(wrong)] + 1) % 10
    logits = np.eye(10, dtype=np.float16)[said]
    RunDirectory(folder).write_predictions(logits, labels, NAMES)
    return folder


# Of two models with three seeds each, the test images that each has wrong.
WRONG = {
    "a": [range(0, 30), range(0, 25), range(5, 40)],
    "b": [range(20, 80), range(15, 60), range(30, 90)],
}


@pytest.fixture
def studio(tmp_path, labels):
    for model, lr in (("a", 0.1), ("b", 0.2)):
        for seed, wrong in enumerate(WRONG[model]):
            finish(tmp_path, f"{model}{seed}", labels, wrong, seed, lr)
    with served(tmp_path, worker=AtHand()) as studio:
        yield studio


ALL = [f"{model}{seed}" for model in "ab" for seed in range(3)]


def ask(studio, names, view="compare", **more):
    query = urlencode([*(("run", name) for name in names), *more.items()])
    answer = studio.ask(f"/api/{view}?{query}")
    assert answer.status in (200, 422), answer.body
    return answer.json


def row(rows, name):
    return next(values for key, *values in rows if key == name)


def test_parts_of_a_configuration_are_told_in_few_words():
    parts = [
        {"_target_": "reslab.nn.Pool", "size": 2.0, "of": [{"_target_": "a.B"}, None, True, "x"]},
        {"size": 0.5},
    ]
    assert _differing([[{"join": part}] for part in parts]) == [
        ["join._target_", "reslab.nn.Pool", "none"],
        ["join.of", "[B(), null, true, x]", "none"],
        ["join.size", "2", "0.5"],
    ]


def test_names_are_text_in_what_the_page_is_given(tmp_path, labels):
    hostile = '"><img src=x onerror=alert(1)>'
    finish(tmp_path, hostile, labels, range(3))
    finish(tmp_path, "b", labels, range(4), lr=0.2)
    with served(tmp_path, worker=AtHand()) as studio:
        query = urlencode({"run": [hostile, "b", "<script>"]}, doseq=True)
        drawn = studio.ask(f"/api/compare?{query}", Accept="text/html, application/json")
        refused = studio.ask("/api/compare/flipped?run=b", Accept="text/html, application/json")
    assert drawn.headers["Content-Type"].startswith("text/html")
    text = drawn.body.decode()
    assert html.escape(hostile) in text
    assert "&lt;script&gt; is not among the runs" in text
    assert "<img" not in text
    assert "<script" not in text
    assert "error" in refused.json, "which the page says in its own place"


def test_lists_of_whole_numbers_are_told_as_such():
    blocks = [{"model": {"blocks": [2.0, 2.0]}, "n": 1.0}, {"model": {"blocks": [2.0, 3.5]}}]
    assert _differing([[one] for one in blocks]) == [
        ["model.blocks", "[2, 2]", "[2, 3.5]"],
        ["n", "1", "none"],
    ]


def test_only_what_differs_of_the_configurations_is_told_beside_all_results(studio):
    answer = ask(studio, ALL)
    assert [side["title"] for side in answer["sides"]] == [
        *("digits-baseline_cnn lr=0.1, 3 seeds", "digits-baseline_cnn lr=0.2, 3 seeds")
    ]
    assert answer["config"] == [["optimizer.lr", "0.1", "0.2"]]
    assert answer["environment"] == []
    for at, model in enumerate("ab"):
        accuracies = [100 * (1 - len(wrong) / 360) for wrong in WRONG[model]]
        expected = f"{np.mean(accuracies):.2f} ± {np.std(accuracies, ddof=1):.2f}"
        assert row(answer["results"], "Test accuracy, %")[at] == expected
    # Of one model the runs themselves are compared, and differ in the seed.
    answer = ask(studio, ["a0", "a2"])
    assert [side["title"][-6:] for side in answer["sides"]] == ["seed 0", "seed 2"]
    assert {key for key, *_ in answer["config"]} == {"seed", "dataset.seed"}
    assert ask(studio, ["a0"])["pairs"] == []
    note = "gone is not among the runs, or not whole"
    assert ask(studio, ["gone"]) == {"sides": [], "notes": [note]}


def test_a_difference_is_paired_by_seed_and_image_with_interval_and_mcnemars_test(studio):
    (pair,) = ask(studio, ALL, base="b1")["pairs"]
    told = dict(zip(ask(studio, ALL)["columns"][1:], pair["text"], strict=True))
    right = {
        model: np.array([[at not in wrong for at in range(360)] for wrong in WRONG[model]])
        for model in "ab"
    }
    gap = 100 * (right["a"].astype(float) - right["b"])
    by_seed, by_image = gap.mean(1), gap.mean(0)
    assert told["Diff., pp"] == f"{gap.mean():+.2f} ± {by_seed.std(ddof=1):.2f}"
    half = 1.959964 * by_image.std(ddof=1) / sqrt(360)
    assert told["95 %, images"] == f"{gap.mean() - half:+.2f} to {gap.mean() + half:+.2f}"
    half = t.ppf(0.975, 2) * by_seed.std(ddof=1) / sqrt(3)
    assert told["95 %, seeds"] == f"{gap.mean() - half:+.2f} to {gap.mean() + half:+.2f}"
    first = (right["a"] & ~right["b"]).sum(1)
    second = (right["b"] & ~right["a"]).sum(1)
    assert told["Only 1st"] == " / ".join(map(str, first))
    assert told["Only 2nd"] == " / ".join(map(str, second))
    p = [binomtest(int(a), int(a + b)).pvalue for a, b in zip(first, second, strict=True)]
    for text, value in zip(told["p (McNemar)"].split(" / "), p, strict=True):
        assert float(text) == pytest.approx(value, rel=0.5, abs=5e-4)


def test_the_test_images_that_flipped_are_pictures_those_of_most_seeds_first(studio, labels):
    answer = ask(studio, ALL, "compare/flipped", **{"with": "a0", "base": "b0"})
    assert (answer["seeds"], answer["why"]) == (3, "")
    pixels = {tuple(np.rint(one * 255 / 16).astype(int).ravel()) for one in load_digits().images}
    for part, (one, other) in zip(answer["parts"], ("ab", "ba"), strict=True):
        counts = np.zeros(360, int)
        for ours, theirs in zip(WRONG[one], WRONG[other], strict=True):
            counts[list(set(theirs) - set(ours))] += 1
        assert part["total"] == np.count_nonzero(counts)
        expected = sorted(np.flatnonzero(counts), key=lambda at: (-counts[at], at))[:40]
        assert [image["at"] for image in part["images"]] == expected
        for image in part["images"]:
            at = image["at"]
            truth = int(labels[at])
            assert image["seeds"] == counts[at]
            assert (image["truth"], image["wrong"]) == (str(truth), str((truth + 1) % 10))
            shown = Image.open(io.BytesIO(base64.b64decode(image["picture"].partition(",")[2])))
            assert tuple(np.asarray(shown).astype(int).ravel()) in pixels


def test_runs_that_cannot_be_paired_say_why(studio, tmp_path, labels):
    finish(tmp_path, "other-set", labels[::-1], range(3), lr=0.3)
    finish(tmp_path, "other-seed", labels, range(3), seed=7, lr=0.4)
    write_run(tmp_path, "unfinished", lr=0.5)
    finish(tmp_path, "spoilt", labels, range(3), lr=0.6)
    (tmp_path / "spoilt/predictions.npz").write_bytes(b"spoilt")
    finish(tmp_path, "renamed", labels, range(3), lr=0.7, name="other-digits")
    names = ["other-set", "other-seed", "unfinished", "spoilt", "renamed"]
    answer = ask(studio, [*ALL, *names], base="a0")
    why = {pair["name"]: pair["why"] for pair in answer["pairs"]}
    assert why.pop("b0") == ""
    assert [why[name].partition(":")[0] for name in ("other-set", "renamed", "other-seed")] == [
        *("their test sets differ", "their test sets differ", "they have no seed in common")
    ]
    assert why["unfinished"].startswith("not finished")
    assert "predictions.npz is missing, damaged" in why["spoilt"]
    refused = ask(studio, [*ALL, *names], "compare/flipped", **{"with": "other-set", "base": "a0"})
    assert "test sets differ" in refused["error"]
    # Two runs alone are paired whatever their seeds.
    (pair,) = ask(studio, ["a0", "other-seed"])["pairs"]
    assert pair["text"][0] == f"{100 * 27 / 360:+.2f}"


def test_no_more_are_compared_than_can_be_seen(tmp_path):
    for at in range(20):
        write_run(tmp_path, f"run-{at}", lr=at + 1)
    with served(tmp_path, worker=AtHand()) as studio:
        answer = ask(studio, [f"run-{at}" for at in range(20)])
    assert [side["name"] for side in answer["sides"]] == [f"run-{at}" for at in range(12)]
    assert answer["notes"] == ["these are the first 12 of 20: select fewer"]


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        ({"val_size": 1}, "dataset.val_size=1"),
        (
            {
                "name": "mnist",
                "data_dir": "nowhere",
                "source": {
                    "_target_": "reslab.data.TorchvisionSource",
                    "dataset": {"_target_": "torchvision.datasets.MNIST", "_partial_": True},
                    "files": {"MNIST/raw/t10k-images-idx3-ubyte": None},
                    "archives": {},
                },
            },
            "not in",
        ),
    ],
)
def test_where_the_data_set_is_not_on_this_disk_the_flipped_are_named_without_pictures(
    tmp_path, labels, dataset, why
):
    finish(tmp_path, "one", labels, range(4), **dataset)
    finish(tmp_path, "two", labels, range(2, 9), lr=0.2, **dataset)
    with served(tmp_path, worker=AtHand()) as studio:
        answer = ask(studio, ["one", "two"], "compare/flipped", **{"with": "two", "base": "one"})
    assert answer["why"].startswith("no pictures: the images of")
    assert why in answer["why"]
    assert [[image["at"] for image in part["images"]] for part in answer["parts"]] == [
        *([0, 1], [4, 5, 6, 7, 8])
    ]
    assert all(image["picture"] is None for part in answer["parts"] for image in part["images"])


@pytest.mark.long
def test_what_is_compared_is_chosen_in_the_page_and_stands_in_the_address(studio, tmp_path, labels):
    finish(tmp_path, "c0", labels, range(10), lr=0.3)
    query = urlencode([("run", name) for name in [*ALL, "c0"]])
    with visited(f"{studio.address}#compare?{query}") as page:
        page.goto(f"http://127.0.0.1:{studio.port}/#compare?{query}")
        page.locator("tbody th", has_text="optimizer.lr").wait_for()
        first = page.get_by_role("heading", name="Only digits-baseline_cnn lr=0.2, 3 seeds")
        first.wait_for(timeout=20_000)
        page.get_by_role("radio", name="digits-baseline_cnn lr=0.3, seed 0").check()
        page.get_by_role("heading", name="Only digits-baseline_cnn lr=0.3, seed 0").wait_for()
        assert first.count() == 0
        page.wait_for_function(
            """() => [...document.querySelectorAll("figure img")].length == 20 &&
              [...document.querySelectorAll("figure img")].every((one) => one.naturalWidth == 8)"""
        )
        page.get_by_label("Compared with").select_option(
            label="digits-baseline_cnn lr=0.2, 3 seeds"
        )
        page.get_by_role("heading", name="Only digits-baseline_cnn lr=0.2, 3 seeds").wait_for()
        before = page.locator("figcaption").all_inner_texts()
        page.reload()
        page.locator("figcaption").first.wait_for()
        assert page.locator("figcaption").all_inner_texts() == before
        assert page.problems == []
        page.goto(f"http://127.0.0.1:{studio.port}/#compare")
        page.get_by_role("link", name="Select runs").click()
        page.wait_for_function("() => location.hash.startsWith('#runs')")


@pytest.mark.long
def test_the_server_stays_small_while_what_computes_beside_it_compares(tmp_path, labels):
    for name, wrong, lr in (("a", range(9), 0.1), ("b", range(5, 20), 0.2)):
        finish(tmp_path / "runs", name, labels, wrong, lr=lr)
    with studio_of_its_own(tmp_path / "runs") as (server, address):
        found = urlsplit(address)
        token = parse_qs(found.query)["token"][0]
        asks = Served(tmp_path / "runs", found.port, Heard())
        query = "run=a&run=b&with=a&base=b"
        write_search(tmp_path / "runs", "lr", [trial(0, value=0.5)])
        for view, part in (
            *(("compare", "pairs"), ("compare/flipped", "parts"), ("searches", "about")),
        ):
            answer = asks.ask(f"/api/{view}?{query}", token=token)
            assert answer.status == 200, answer.body
            assert answer.json[part]
        libraries = {Path(one.path).name for one in server.memory_maps()}
        folders = {part for one in server.memory_maps() for part in Path(one.path).parts}
        assert any("python" in name for name in libraries), "it is told what the process has loaded"
        assert not {"torch", "scipy", "pandas", "optuna"} & folders
        assert server.memory_info().rss <= 120 << 20
        assert any(
            "torch" in one.path for child in server.children() for one in child.memory_maps()
        )
