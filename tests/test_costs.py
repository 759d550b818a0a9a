"""What a run takes of a disk is of the size that `docs/many-runs.md` says."""

import pytest

from processes import run
from reslab.runs.store import RunDirectory
from training import only_run

ASKED = ("train", "model=baseline_cnn", "trainer.max_epochs=3", "logger=tensorboard")


@pytest.fixture(scope="module")
def before_and_after(tmp_path_factory):
    """Bytes by name of a run's files before its test, then of the finished run; and its record."""
    folder, seen = tmp_path_factory.mktemp("costs"), []
    for more in (["test=false"], []):
        done = run(folder, *ASKED, "dataset=digits", *more)
        assert done.code == 0, done.err
        path = only_run(folder)
        files = (file for file in path.rglob("*") if file.is_file())
        seen.append({str(file.relative_to(path)): file.stat().st_size for file in files})
    return *seen, RunDirectory(path).record()


@pytest.mark.long
def test_text_is_some_thousand_bytes(before_and_after):
    _, files, record = before_and_after
    text = [size for name, size in files.items() if name.endswith((".txt", ".json", "yaml", "csv"))]
    assert len(text) == 6
    assert 4_000 < sum(text) < 12_000
    assert files["metrics.csv"] < 200 * (record.epochs + 1)
    assert files["run.lock"] == 0


@pytest.mark.slow
def test_weights_are_four_bytes_a_parameter_and_what_goes_on_five_times_that(before_and_after):
    before, after, record = before_and_after
    share = {name: size / record.parameters for name, size in (before | after).items()}
    assert 4 < share["checkpoints/best.ckpt"] < 4.3
    assert 4 < share["checkpoints/last.ckpt"] < 4.3
    assert 16 < before["checkpoints/last.ckpt"] / record.parameters < 20.5
    assert "checkpoints/previous.ckpt" not in after


def test_logits_are_two_bytes_an_image_and_class(before_and_after):
    _, files, _ = before_and_after
    assert 1.5 < files["predictions.npz"] / (360 * 10) < 2.5


def test_tensorboard_is_mostly_pictures_and_a_graph(before_and_after):
    _, files, _ = before_and_after
    events = [size for name, size in files.items() if ".tfevents." in name]
    assert len(events) <= 3  # of a run that was gone on with, one more
    assert 20_000 < sum(events) < 300_000
    assert len(files) - len(events) == 6 + 1 + 1 + 2
