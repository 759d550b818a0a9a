"""The folder that results are written into: theirs alone, and whole or as it was."""

import os
import shutil
from pathlib import Path

import pytest

from predicted import predict, results
from processes import run, start
from training import only_run


@pytest.mark.slow
def test_nothing_of_an_earlier_call_stands_beside_new_results(trained, tmp_path):
    predict(
        trained, "pictures", "--labels", "folders", "--format", "kaggle", "--output", str(tmp_path)
    )
    before = {path.name for path in tmp_path.iterdir()}
    assert {"metrics.json", "dashboard.html", "submission.csv", "confusion.png"} <= before
    picture = str(next((trained / "pictures/3").glob("*.png")))
    predict(trained, picture, "--output", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.json", "predictions.csv"}


@pytest.mark.slow
def test_its_own_results_are_no_pictures(trained, tmp_path):
    for number in range(3):
        shutil.copy(next((trained / "pictures/3").glob("*.png")), tmp_path / f"{number}.png")
    for _ in range(2):
        predict(trained, str(tmp_path), "--output", str(tmp_path / "out"))
        assert len(results(tmp_path / "out")["images"]) == 3


@pytest.mark.slow
def test_ctrl_c_leaves_no_half_written_results(trained, tmp_path):
    import signal

    many = tmp_path / "many"
    many.mkdir()
    source = next((trained / "pictures/3").glob("*.png"))
    for number in range(20_000):
        os.link(source, many / f"{number:05}.png") if number else shutil.copy(
            source, many / "00000.png"
        )
        source = many / "00000.png"
    predict(trained, "pictures", "--labels", "folders", "--output", str(tmp_path / "earlier"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "earlier").iterdir()}
    assert {"metrics.json", "confusion.png", "dashboard.html"} <= set(before)
    for folder, expected in (("new", {}), ("earlier", before)):
        asked = ("predict", "digits", str(many), "--output", str(tmp_path / folder))
        process = start(trained, *asked)
        process.wait_for_text("img/s")
        process.send(signal.SIGINT)
        assert process.wait().code == 130
        after = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        assert after == expected


@pytest.mark.slow
def test_results_take_the_place_of_nobody_else_s_files(trained, tmp_path):
    a_run = only_run(trained)
    record = (a_run / "metrics.json").read_bytes()
    refused = run(trained, "predict", "digits", "pictures", "--output", str(a_run))
    assert "is the directory of a run: choose another folder" in refused.error_line()
    refused = run(trained, "evaluate", "digits", "--output", str(a_run.parent))
    assert "is the directory of a run: choose another folder" in refused.error_line()
    assert (a_run / "metrics.json").read_bytes() == record
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(next((trained / "pictures/3").glob("*.png")), pictures / "confusion.png")
    again = f"{pictures}/../pictures"
    for asked in (pictures, pictures / "confusion.png"):
        refused = run(trained, "predict", "digits", str(asked), "--output", again)
        assert "holds confusion.png, which is none of its results" in refused.error_line()
    some = tmp_path / "all/some"
    shutil.copytree(next((trained / "pictures/3").glob("*.png")).parent, some)
    before = {path.name: path.read_bytes() for path in some.iterdir()}
    refused = run(trained, "predict", "digits", str(some.parent), "--output", str(some))
    assert "which is none of its results" in refused.error_line()
    assert {path.name: path.read_bytes() for path in some.iterdir()} == before
    own = tmp_path / "own"
    own.mkdir()
    (own / "confusion.png").write_text("mine")
    refused = run(trained, "predict", "digits", str(pictures), "--output", str(own))
    assert "holds confusion.png, which is none of its results" in refused.error_line()
    assert (own / "confusion.png").read_text() == "mine"
    (own / "confusion.png").unlink()
    (own / "notes.txt").write_text("mine")
    for _ in range(2):  # the second time beside the results of the first
        finished = predict(trained, str(pictures), "--output", str(own))
        assert (own / "notes.txt").read_text() == "mine"
    listed = [Path(line).name for line in finished.out.splitlines() if line.startswith(str(own))]
    assert listed == ["predictions.json", "predictions.csv"]
