"""What a run has right of corrupted images, against predictions that are counted by hand."""

import shutil
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch

from browser import opened
from reslab import locks
from reslab.analysis.corruption import KINDS, PUBLISHED, SEVERITIES, corrupt
from reslab.analyze import corruption_pictures
from reslab.analyze.corruption import Corrupted, Settings
from reslab.analyze.kinds import analyze, find
from reslab.analyze.question import Question
from reslab.errors import UserError
from reslab.predicting.load import data_of, load
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory
from training import only_run

SETTINGS = Settings(kinds=("shift", "contrast"), images=200, seed=4)


@pytest.fixture
def alone(trained, tmp_path):
    """A copy of a run, and nothing found for it."""
    shutil.copytree(only_run(trained), tmp_path / only_run(trained).name)
    return RunDirectory(tmp_path / only_run(trained).name)


@pytest.fixture
def official(alone, tmp_path):
    """CIFAR-10-C's layout, of the run's own test images: two kinds, each image another."""
    data = data_of(load(alone.path, device="cpu"))
    folder = tmp_path / "official"
    folder.mkdir()
    whole = data.test_images.permute(0, 2, 3, 1).numpy()
    for kind, step in {"fog": 40, "contrast": 15}.items():
        darker = [whole - np.minimum(whole, step * severity) for severity in SEVERITIES]
        np.save(folder / f"{kind}.npy", np.concatenate(darker))
    np.save(folder / "labels.npy", np.tile(data.test_labels.numpy().astype(np.uint8), 5))
    return folder


def found_for(directory, settings=SETTINGS, reporter=None):
    classifier = load(directory.path, device="cpu")
    asked = ("corruption", classifier, lambda: data_of(classifier), settings)
    return find(*asked, reporter or Reporter())


def share_of(classifier, images, labels):
    """By the network as it was trained, without the engine."""
    with torch.no_grad():
        logits = classifier.network(classifier.description.preprocessing(images))
    return (logits.argmax(1) == labels).double().mean().item()


def test_each_cell_is_the_share_of_corrupted_images_that_the_network_has_right(alone):
    found = found_for(alone)
    classifier = load(alone.path)
    data = data_of(classifier)
    taken = torch.randperm(360, generator=torch.Generator().manual_seed(4))[:200]
    images, labels = data.test_images[taken], data.test_labels[taken]
    near = 2 / 200  # in bf16, where the processor has it, an image or two may fall otherwise
    assert found.images == 200
    assert found.clean == pytest.approx(share_of(classifier, images, labels), abs=near)
    assert found.kinds == ("contrast", "shift"), "in the benchmark's order"
    for row, kind in zip(found.shares, found.kinds):
        for share, severity in zip(row, SEVERITIES):
            spoilt = corrupt(images, kind, severity, 4)
            assert share == pytest.approx(share_of(classifier, spoilt, labels), abs=near)
    assert found.mean == pytest.approx(found.shares[0].mean()), "shift is in no mean"
    assert str(found) == (
        f"clean {found.clean:.2%}, corrupted {found.shares[0].mean():.2%} (mean of 1 kind), "
        f"worst {min(zip(found.shares.mean(1), found.kinds))[1]} {found.shares.mean(1).min():.2%}"
    )


def test_the_official_files_are_read_severity_by_severity(alone, official):
    settings = Settings(kinds="fog, contrast,shift", images=150, official=str(official), seed=1)
    found = found_for(alone, settings)
    classifier = load(alone.path)
    data = data_of(classifier)
    taken = torch.randperm(360, generator=torch.Generator().manual_seed(1))[:150]
    for kind, step in {"fog": 40, "contrast": 15}.items():
        for severity in SEVERITIES:
            darker = (data.test_images[taken].int() - step * severity).clamp(0).byte()
            by_hand = share_of(classifier, darker, data.test_labels[taken])
            cell = found.shares[found.kinds.index(kind), severity - 1]
            assert cell == pytest.approx(by_hand, abs=2 / 150)
    assert found.averaged == ("fog", "contrast")
    made = found_for(alone, Settings(kinds="shift", images=150, seed=1))
    assert np.array_equal(found.shares[2], made.shares[0]), "shift is made all the same"


def test_after_ctrl_c_it_goes_on_and_what_is_kept_needs_no_data(alone):
    class Impatient(Reporter):
        """Is interrupted after some cells."""

        @contextmanager
        def progress(self, total, unit):
            calls = iter(range(4))

            def advance():
                if next(calls, None) is None:
                    raise KeyboardInterrupt

            yield advance
            assert (total, unit) == (11, "cell")

    with pytest.raises(KeyboardInterrupt):
        found_for(alone, reporter=Impatient())
    (kept,) = alone.analyses.glob("*.npz")
    before = np.load(kept)["right"]
    assert len(before) == 5
    whole = found_for(alone)
    assert np.array_equal(np.load(kept)["right"][:5], before)
    classifier = load(alone.path, device="cpu")
    again = find("corruption", classifier, lambda: pytest.fail("asks for data"), SETTINGS)
    assert np.array_equal(again.shares, whole.shares)
    kept.unlink()
    said = f"^another process is finding what {kept} is to hold"
    with locks.held(kept.with_suffix(".lock")), pytest.raises(UserError, match=said):
        found_for(alone)
    undisturbed = found_for(alone)
    assert np.array_equal(undisturbed.shares, whole.shares)
    assert (undisturbed.clean, undisturbed.images) == (whole.clean, whole.images)


def test_the_mean_is_of_the_benchmark_s_kinds_and_without_the_photographs_not_of_frost():
    assert Settings().kinds == tuple(KINDS)
    assert set(Settings().averaged) == set(PUBLISHED) - {"frost"}
    assert set(Settings(official="somewhere").averaged) == set(PUBLISHED)
    assert Settings(kinds="shift").averaged == ("shift",)


def spoil_labels(folder):
    np.save(folder / "labels.npy", np.zeros(1800, np.uint8))


def cut(folder):
    (folder / "fog.npy").write_bytes((folder / "fog.npy").read_bytes()[:5000])


def pickled(folder):
    np.save(folder / "fog.npy", np.array([{}], object), allow_pickle=True)


def of_floats(folder):
    np.save(folder / "fog.npy", np.load(folder / "fog.npy").astype(np.float32))


def of_one_severity(folder):
    np.save(folder / "fog.npy", np.load(folder / "fog.npy")[:360])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "fog.npy").unlink(), r"official=\S+ lacks fog.npy: name the"),
        (lambda folder: (folder / "labels.npy").unlink(), "labels.npy as numpy's .* No such file"),
        (spoil_labels, r"labels.npy has not the labels of digits's test images"),
        (cut, "cannot read .*fog.npy as numpy's file of an array"),
        (pickled, "cannot read .*fog.npy as numpy's file of an array"),
        (of_floats, r"fog.npy has float32 of shape \[1800, 16, 16, 1\], and not uint8 \[1800"),
        (of_one_severity, r"fog.npy has uint8 of shape \[360, 16, 16, 1\], and not uint8 \[1800"),
    ],
)
def test_official_files_that_do_not_fit_are_told_in_a_line(alone, official, spoil, said):
    spoil(official)
    with pytest.raises(UserError, match=said):
        found_for(alone, Settings(kinds="fog", official=str(official)))
    assert not alone.analyses.exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("kinds=mist", "kinds: 'mist' is none: choose among gaussian_noise, "),
        ("kinds=", "kinds: '' is none: choose among gaussian_noise, "),
        ("kinds=[]", "kinds: '' is none: choose among gaussian_noise, "),
        ("kinds=[fog, 3]", "kinds: '3' is none: choose among gaussian_noise, "),
        ("images=0", "images=0: choose from 1 to "),
        ("images=1e3", "images='1e3': give a whole number"),
        ("seed=-1", "seed=-1: choose from 0 to "),
        ("seed=9e99", "seed='9e99': give a whole number"),
        (f"seed={2**63}", f"seed={2**63}: choose from 0 to {2**63 - 1}"),
        ("official=", "official=: name the folder of CIFAR-10-C"),
        ("official=~nobody-s/x", "official=~nobody-s/x: name the folder of CIFAR-10-C"),
        ("official=[1]", r"\[1\] lacks gaussian_noise.npy, .*: name the folder of CIFAR-10-C"),
        ("official=nowhere", "nowhere lacks gaussian_noise.npy, shot_noise.npy"),
    ],
)
def test_what_cannot_be_found_is_told_in_a_line(alone, word, said, in_empty_folder):
    with pytest.raises(UserError, match=said):
        analyze([str(alone.path)], "corruption", [word])
    assert not alone.analyses.exists()


@pytest.mark.slow
def test_it_says_and_draws_what_was_found(alone, in_empty_folder):
    done = analyze([str(alone.path)], "corruption", ["kinds=[fog,frost,rotation]", "images=50"])
    ((name, line),) = done.lines
    assert name == alone.name
    assert "(mean of 1 kind)" in line
    png, pdf, page = done.written
    assert png.stat().st_size > 10_000
    assert pdf.read_bytes().startswith(b"%PDF")
    content = page.read_text()
    said = "50 test images, regenerated at the severities of CIFAR-10-C; kinds=frost,fog,rotation"
    assert f"{said} images=50" in content
    assert "frost (drawn)" in content
    with opened(page) as shown:
        assert shown.title() == f"Corruption of {alone.name}"
        assert shown.locator(".bk-Figure").count() == 2
        assert shown.problems == []


def test_beside_cifar_10_s_whole_benchmark_stand_the_published_means():
    shares = np.full((len(KINDS), 5), 0.7)
    rows = {}
    for is_benchmark in (True, False):
        one = Corrupted(0.9, shares, 10, tuple(KINDS), Settings().averaged, is_benchmark)
        rows[is_benchmark] = corruption_pictures._means([one], ["mine"])
    assert [row[1:3] for row in rows[True]] == [
        (0.9, pytest.approx(0.7)),
        (0.95, 0.74),
        (0.952, 0.886),
    ]
    assert len(rows[False]) == 1


@pytest.mark.slow
def test_a_dozen_runs_are_told_apart_and_their_names_do_not_overlap(monkeypatch, tmp_path):
    settings = Settings(kinds="fog", seed=3)
    question, shares = Question("corruption", settings), np.full((1, 5), 0.7)
    found = [Corrupted(0.9, shares, 10, ("fog",), settings.averaged, True)] * 12
    titles = [f"a run's name, {at}" for at in range(12)]
    monkeypatch.setattr(corruption_pictures, "save_figure", lambda figure, path: figure)
    figure = corruption_pictures.draw(found, titles, question, tmp_path / "it")
    assert "kinds=fog seed=3" in figure.get_suptitle()
    lines, means = figure.subfigs[1].axes
    assert len({(line.get_color(), line.get_linestyle()) for line in lines.lines}) == 12
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in means.texts]
    assert len(boxes) == 14, "the runs' and those that are published"
    assert all(one.y0 >= other.y1 for one, other in pairwise(boxes))
    dot = 3 * figure.dpi / 72  # from its middle to its edge
    tops = [means.transData.transform((0, at))[1] + dot for at in range(14)]
    assert all(box.y0 > top for box, top in zip(boxes, tops)), "a name is on its dots"
    parts = corruption_pictures.show(found, titles, question)
    assert "kinds=fog seed=3" in parts[0].text
    glyphs = [one.glyph for one in parts[2].renderers if type(one.glyph).__name__ == "Line"]
    assert len({(glyph.line_color, str(glyph.line_dash)) for glyph in glyphs}) == 12
