"""The command that analyzes runs: what it finds, keeps and draws."""

import copy
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image

from browser import opened
from processes import run
from reslab import locks
from reslab.analysis.landscape import draw_direction
from reslab.analyze.kinds import KINDS, analyze, find, settings_of
from reslab.analyze.landscape import Settings
from reslab.errors import UserError
from reslab.predicting.load import data_of, load
from reslab.reporter import Reporter
from reslab.runs import checkpoint as files
from reslab.runs.store import RunDirectory, list_runs
from training import SMALL, only_run

ASKED = ("points=3", "line_points=5", "reach=0.5", "split=test", "seed=4")
SETTINGS = Settings(points=3, line_points=5, reach=0.5, split="test", seed=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two runs of narrow networks, analyzed by the command."""
    folder = tmp_path_factory.mktemp("analyzed")
    short = ("trainer.max_epochs=1", "+trainer.limit_train_batches=5", "logger=none")
    short = (*short, "dataset.name=all.digits")  # whose files have no other ending for it
    swept = run(folder, "train", "-m", *SMALL, "optimizer.lr=0.01", "seed=0,1", *short)
    assert swept.code == 0, swept.err
    names = [one.name for one in list_runs(folder / "outputs/runs")]
    done = run(folder, "analyze", *names, "landscape", *ASKED)
    assert done.code == 0, done.err
    return folder, names, done


@pytest.fixture
def alone(trained, tmp_path):
    """A copy of a run, and nothing found for it."""
    shutil.copytree(only_run(trained), tmp_path / only_run(trained).name)
    return RunDirectory(tmp_path / only_run(trained).name)


def found_for(directory: RunDirectory, reporter: Reporter | None = None):
    classifier = load(directory.path, device="cpu")
    return find(
        "landscape", classifier, lambda: data_of(classifier), SETTINGS, reporter or Reporter()
    )


@pytest.mark.slow
def test_at_the_weights_it_is_what_the_record_says_and_around_them_what_moved_networks_do(folder):
    """In fp32 or, where the processor has it, in bf16."""
    directory = list_runs(folder[0] / "outputs/runs")[0]
    (kept,) = directory.analyses.glob("landscape-*.npz")
    values = np.load(kept)["values"]
    line, plane = values[:5], values[5:].reshape(3, 3, 2)
    record = directory.record()
    for place in (line[2], plane[1, 1]):
        assert place == pytest.approx((record.test_loss, record.test_accuracy), rel=0.02)
    classifier = load(directory.path)
    data = data_of(classifier)
    ways = [draw_direction(classifier.network, seed) for seed in (8, 9)]
    for (first, second), place in {(0.5, 0): plane[1, 2], (-0.5, 0.5): plane[2, 0]}.items():
        moved = copy.deepcopy(classifier.network)
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                if name in ways[0]:
                    parameter += first * ways[0][name] + second * ways[1][name]
            logits = moved(classifier.description.preprocessing(data.test_images))
        loss = F.cross_entropy(logits, data.test_labels).item()
        share = (logits.argmax(1) == data.test_labels).float().mean().item()
        assert place == pytest.approx((loss, share), rel=0.05)
    assert line[4] == pytest.approx(plane[1, 2]), "the line is along the first direction"


@pytest.mark.slow
def test_it_says_and_draws_what_was_found(folder):
    where, names, done = folder
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == names
    assert all(name.startswith("all.digits-") for name in names)
    png, pdf, page = (where / line for line in lines[2:])
    with Image.open(png) as picture:
        shades = np.asarray(picture.convert("RGB")).reshape(-1, 3)
        assert len(np.unique(shades, axis=0)) > 300, "it has hardly a color"
    content = page.read_text()
    assert "mean over 360 test images" in content
    assert " ".join(ASKED) in content, "it does not say what was asked"
    assert pdf.read_bytes().startswith(b"%PDF")
    with opened(page) as shown:
        assert shown.title() == f"Landscape of {names[0]}, {names[1]}"
        assert shown.locator(".bk-Figure").count() == 3
        assert shown.problems == []


@pytest.mark.slow
def test_after_ctrl_c_it_goes_on_where_it_was(alone):
    class Impatient(Reporter):
        """Is interrupted at a point, and counts those that are computed."""

        def __init__(self, patience):
            self.left, self.calls = patience, 0

        @contextmanager
        def progress(self, total, unit):
            def advance():
                self.calls += 1
                if self.calls == self.left:
                    raise KeyboardInterrupt

            yield advance

    with pytest.raises(KeyboardInterrupt):
        found_for(alone, Impatient(6))
    (kept,) = alone.analyses.glob("*.npz")
    assert len(np.load(kept)["values"]) == 6
    before = np.load(kept)["values"]
    whole = found_for(alone)
    assert np.array_equal(np.load(kept)["values"][:6], before)
    kept.unlink()
    undisturbed = found_for(alone)
    assert np.array_equal(whole.plane, undisturbed.plane)
    assert np.array_equal(whole.line, undisturbed.line)


def test_what_is_kept_is_not_found_again_and_of_other_weights_it_is(alone, monkeypatch):
    whole = found_for(alone)
    with monkeypatch.context() as patch:
        patch.setattr("reslab.analyze.landscape.losses", None)  # nothing computes
        patch.setattr("test_analyze.data_of", None)  # nor reads the images
        again = found_for(alone)
    assert np.array_equal(again.plane, whole.plane)
    assert again.images == whole.images == 360
    classifier = load(alone.path, device="cpu")
    with torch.no_grad():
        next(classifier.network.parameters()).mul_(1.5)
    other = find("landscape", classifier, lambda: data_of(classifier), SETTINGS)
    assert len(list(alone.analyses.glob("*.npz"))) == 2
    assert not np.allclose(other.plane, whole.plane)


def test_two_do_not_find_the_same_at_once(alone):
    whole = found_for(alone)
    (kept,) = alone.analyses.glob("*.npz")
    with locks.held(kept.with_suffix(".lock")):  # by another, who is at it
        assert np.array_equal(found_for(alone).plane, whole.plane)  # all is there already
        kept.unlink()
        with pytest.raises(UserError, match=f"^another process is finding what {kept} is to hold"):
            found_for(alone)
        assert not kept.exists()
    assert np.array_equal(found_for(alone).plane, whole.plane)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no more", b"\x93NUMPY"])
def test_a_file_that_is_spoilt_is_named(alone, content):
    found_for(alone)
    (kept,) = alone.analyses.glob("*.npz")
    kept.write_bytes(content)
    with pytest.raises(UserError, match=f"{kept.name} is damaged or foreign: delete it"):
        found_for(alone)


@pytest.mark.parametrize(
    "arrays",
    [
        {"other": np.zeros(3)},
        {"values": np.zeros((99, 2)), "images": np.array(1)},
        {"values": np.zeros((14, 2)), "images": np.zeros(2)},
        {"values": np.array(3.0)},
    ],
)
def test_arrays_that_another_version_kept_are_named(alone, arrays):
    found_for(alone)
    (kept,) = alone.analyses.glob("*.npz")
    with np.load(kept) as content:
        np.savez(kept, asked=content["asked"], **arrays)
    with pytest.raises(UserError, match=f"{kept.name} is damaged or foreign: delete it"):
        found_for(alone)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("landscape", "points=4"), "points=4: choose an odd number"),
        (("landscape", "line_points=1"), "line_points=1: choose an odd number"),
        (("landscape", "reach=0"), "reach=0.0: choose a positive number"),
        (("landscape", "reach=nan"), "reach=nan: choose a positive number"),
        (("landscape", "reach=far"), "reach='far': give a number"),
        (("landscape", "images=0"), "images=0: choose from 1 to "),
        (("landscape", f"images={10**24}"), f"images={10**24}: choose from 1 to {2**63 - 1}"),
        (("landscape", "images=1e3"), "images='1e3': give a whole number"),
        (("landscape", "points=true"), "points='true': give a whole number"),
        (("landscape", "points="), "points='': give a whole number"),
        (("landscape", "split=mine"), "split='mine': give train or val or test"),
        (("landscape", "seed=-3"), "seed=-3: choose from 0 to "),
        (("landscape", f"seed={2**63}"), f"seed={2**63}: choose from 0 to {2**63 - 1}"),
        (("landscape", "seed=1", "seed=2"), "seed=2: seed= is given twice"),
        (("landscape", "points"), "points is no setting: choose points=, "),
        (("landscape", "sede=1"), "sede=1 is no setting: choose points=, "),
        (("landscapes",), "landscapes is no analysis: choose landscape"),
    ],
)
def test_what_cannot_be_found_is_told_in_a_line(alone, words, said, in_empty_folder):
    with pytest.raises(UserError, match=said):
        analyze([str(alone.path)], words[0], words[1:])
    assert not alone.analyses.exists()
    assert not list(in_empty_folder.glob("outputs"))


def test_numbers_are_read_in_every_usual_way():
    for text in ("1e-1", "0.1", ".1", "1E-1"):
        assert settings_of("landscape", [f"reach={text}"]).reach == 0.1
    assert settings_of("landscape", ["reach=1e30"]).reach == 1e30
    greatest = settings_of("landscape", [f"seed={2**63 - 1}"])
    draw_direction(torch.nn.Linear(2, 2), 2 * greatest.seed + 1)  # torch takes it


def test_a_run_is_given_once(alone, in_empty_folder):
    again = str(alone.path / ".." / alone.name)
    with pytest.raises(UserError, match=f"{alone.name} is given twice: name each run once"):
        analyze([str(alone.path), again], "landscape", ASKED)
    assert not alone.analyses.exists()


def test_each_question_has_files_of_its_own(alone, in_empty_folder, monkeypatch):
    titles = []
    monkeypatch.setattr("reslab.analyze.kinds.find", lambda *_: None)
    undrawn = replace(
        KINDS["landscape"], draw=lambda *asked: titles.extend(asked[1]), show=lambda *_: []
    )
    monkeypatch.setitem(KINDS, "landscape", undrawn)
    pages = [
        analyze([str(alone.path)], "landscape", words).written[-1]
        for words in ((), ("seed=1",), ("split=test",), ("seed=0", "points=25"))
    ]
    assert pages[0].name == pages[3].name == "landscape.html", "what is usual is not named"
    assert len(set(pages)) == 3
    assert all(page.is_file() and page.name.startswith("landscape-") for page in pages[1:3])
    assert set(titles) == {f"{alone.name}, test {alone.record().test_accuracy:.2%}"}


def test_where_its_data_are_lacking_it_does_not_ask_for_test_images(alone, tmp_path):
    saved = files.load(alone.best)
    dataset = {"_target_": "torchvision.datasets.MNIST", "_partial_": True}
    source = {"_target_": "reslab.data.TorchvisionSource", "dataset": dataset, "archives": {}}
    saved["reslab"]["description"]["data"]["source"] = source | {"files": {"MNIST/images": None}}
    files.save(saved, alone.best)
    with pytest.raises(UserError, match=r"^the images of digits are needed, and MNIST/images not"):
        analyze([str(alone.path)], "landscape", data_dir=str(tmp_path / "away"))


def test_a_file_alone_is_no_run(copied, in_empty_folder):
    with pytest.raises(UserError, match=r"copied.ckpt is no finished run"):
        analyze([str(copied)], "landscape")


def test_the_command_s_words_are_runs_a_kind_and_settings(tmp_path):
    assert "landscape" in KINDS
    for words, said in {
        ("x",): "name the kind of analysis behind the runs: landscape",
        ("landscape",): "name a run before landscape",
        ("x", "landscape"): "no run is called x",
    }.items():
        assert said in run(tmp_path, "analyze", *words).error_line()
    helped = run(tmp_path, "analyze", "--help").out
    assert all(kind in helped for kind in KINDS)
