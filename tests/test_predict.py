"""`reslab predict`: real files, a trained network, results that agree."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pictures import png
from predicted import predict, results, table
from processes import run
from reslab.pictures.formats import HAS_AVIF
from reslab.predicting.load import load
from reslab.reports.results import safe
from training import NEEDS_COMPILER, SMALL, only_run


def test_one_picture_is_ranked_in_the_terminal_and_in_json(trained, tmp_path):
    picture = str(next((trained / "pictures/3").glob("*.png")))
    finished = predict(trained, picture, "--top-k", "3", "--output", str(tmp_path))
    content = results(tmp_path)
    (row,) = content["images"]
    assert row["file"] == picture
    assert len(row["top"]) == 3
    assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
    best = content["class_names"][np.argmax(row["probabilities"])]
    assert row["top"][0] == {"class": best, "probability": max(row["probabilities"])}
    ranked = [line.split()[0] for line in finished.out.splitlines() if "%" in line]
    assert ranked == [one["class"] for one in row["top"]]
    assert not (tmp_path / "dashboard.html").exists()


def test_a_threshold_that_is_no_number_is_refused(trained, tmp_path):
    asked = ("predict", "digits", "pictures", "--threshold", "nan", "--output", str(tmp_path))
    finished = run(trained, *asked)
    assert finished.code == 2
    assert "'nan' is not a number" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_below_the_threshold_the_answer_is_uncertain_and_the_ranking_is_there(trained, tmp_path):
    predict(trained, "pictures", "--threshold", "0.9", "--output", str(tmp_path))
    content = results(tmp_path)
    for row in content["images"]:
        assert (row["answer"] == "uncertain") == (row["confidence"] < 0.9)
        assert len(row["top"]) == 5
    answers = [row["answer"] == "uncertain" for row in content["images"]]
    assert content["counts"]["uncertain"] == sum(answers) > 0
    assert content["counts"]["answered"] == len(answers) - sum(answers) > 0


def test_without_labels_there_are_page_and_picture_of_how_sure_the_answers_are(trained, tmp_path):
    finished = predict(trained, "pictures", "--output", str(tmp_path))
    assert "confidence.png" in finished.out
    names = {"predictions.json", "predictions.csv", "confidence.png", "dashboard.html"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert Image.open(tmp_path / "confidence.png").size[0] > 500


def test_the_kaggle_file_has_numbers_of_files_and_classes(trained, tmp_path):
    predict(trained, "pictures", "--format", "kaggle", "--output", str(tmp_path))
    lines = (tmp_path / "submission.csv").read_text().split()
    assert lines[0] == "ID,Labels"
    assert len(lines) == 361
    for line, row in zip(lines[1:], results(tmp_path)["images"], strict=True):
        assert line == f"{Path(row['file']).stem},{np.argmax(row['probabilities'])}"


@pytest.mark.long
def test_tta_averages_over_mirror_images_and_is_refused_without_such_training(trained, tmp_path):
    model = load("digits", trained / "outputs/runs", device="cpu", batch_size=64)
    images = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    one, other = (model.probabilities(x) for x in (images, images.flip(-1)))
    assert torch.allclose(model.probabilities(images, mirror=True), (one + other) / 2, atol=1e-6)
    plain, mirrored = tmp_path / "plain", tmp_path / "mirrored"
    predict(trained, "pictures", "--output", str(plain))
    predict(trained, "pictures", "--tta", "--output", str(mirrored))
    assert results(mirrored)["options"]["tta"] is True
    assert results(plain)["images"] != results(mirrored)["images"]
    short = ("trainer.max_epochs=1", "+trainer.limit_train_batches=1")
    assert run(tmp_path, "train", *SMALL, "logger=none", *short).code == 0
    refused = run(tmp_path, "predict", "digits", str(trained / "pictures"), "--tta")
    assert "was not trained on such" in refused.error_line()


@pytest.mark.long
@NEEDS_COMPILER
def test_compiled_the_answers_are_the_same(trained, tmp_path):
    answers = {}
    for asked in ((), ("--compile",)):
        where, cache = tmp_path / f"out{len(asked)}", tmp_path / f"generated{len(asked)}"
        arguments = ("predict", "digits", "pictures/3", "--output", str(where), *asked)
        done = run(trained, *arguments, TORCHINDUCTOR_CACHE_DIR=str(cache))
        assert done.code == 0, done.err
        assert bool(list(cache.rglob("*.py"))) == bool(asked)
        answers[asked] = np.array([one["probabilities"] for one in results(where)["images"]])
    assert np.abs(answers["--compile",] - answers[()]).max() < 0.02


def test_a_folder_of_bad_files_is_finished_and_each_is_reported(trained, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    good = next((trained / "pictures/3").glob("*.png"))
    names = ["a b.png", "a,b.png", "a=b.png", "=cmd|' -C calc'!A0.png", "'quoted.png", "ä\n.png"]
    for name in names:
        shutil.copy(good, folder / name)
    shutil.copy(good, os.fsencode(folder) + b"/\xff.png")
    (folder / "cut.png").write_bytes(good.read_bytes()[:-30])
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("hello")
    (folder / "link.png").symlink_to(good)
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    (folder / "huge.png").write_bytes(png(30_000, 30_000, 8, b""))
    for mode in ("CMYK", "I;16", "P", "LA"):
        suffix = "tiff" if mode == "CMYK" else "png"
        Image.new(mode, (16, 16)).save(folder / f"mode {mode}.{suffix}")
    started = time.monotonic()
    finished = predict(trained, str(folder), "--output", str(tmp_path / "out"), code=1)
    assert time.monotonic() - started < 60
    assert "7 of 18 files could not be predicted" in finished.error_line()
    content = results(tmp_path / "out")
    errors = {Path(row["file"]).name: row["error"] for row in content["images"] if "error" in row}
    bad = {"cut.png", "empty.png", "text.png", "link.png", "loop", "pipe.png", "huge.png"}
    assert set(errors) == bad
    assert content["counts"]["failed"] == 7
    assert sum(content["counts"].values()) == 18
    for name, text in errors.items():
        assert f"{name}: {text}" in finished.err
    expected = {os.fsdecode(name) for name in os.listdir(os.fsencode(folder))}
    assert {Path(row["file"]).name for row in content["images"]} == expected
    cells = [row["file"] for row in table(tmp_path / "out")]
    assert {Path(cell).name for cell in cells} == expected


@pytest.mark.slow
def test_of_a_folder_of_everything_it_is_said_what_became_of_every_file(trained, tmp_path):
    """Real pictures in every format and litter beside them, in folders that are classes."""
    folder, threes = tmp_path / "all", sorted((trained / "pictures/3").glob("*.png"))
    (folder / "3/.ipynb_checkpoints").mkdir(parents=True)
    (folder / "__MACOSX/3").mkdir(parents=True)
    endings = ("png", "jfif", "jpe", "ppm", "bmp", "gif", "webp", "tiff", *(["avif"] * HAS_AVIF))
    for at, ending in enumerate(endings):
        with Image.open(threes[at]) as picture:
            form = {"jfif": "JPEG", "jpe": "JPEG"}.get(ending)
            picture.convert("RGB").save(folder / f"3/{at}.{ending}", form)
    shutil.copy(threes[0], folder / "3/without ending")
    litter = ("3/._0.png", "3/.ipynb_checkpoints/0.png", "__MACOSX/3/._0.png", "3/Thumbs.db")
    for name in (*litter, "notes.txt", "3/more.txt", "truth.csv"):
        (folder / name).write_text("no picture")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    out = tmp_path / "out"
    finished = predict(trained, str(folder), "--labels", "folders", "--output", str(out))
    number = len(endings) + 1
    lines = finished.out.splitlines()
    at = lines.index(f"found {number + 6} files: {number} predicted, 6 skipped")
    assert lines[at + 1] == (
        "skipped: 2 .txt (notes.txt, more.txt), 2 hidden (._0.png, Thumbs.db), 2 hidden folder(s) "
        "(__MACOSX, .ipynb_checkpoints), 1 .csv (truth.csv), 1 HEIC (phone.heic)"
    )
    assert lines[at + 2].startswith("formats that are read: PNG, JPEG, WEBP, BMP, GIF, TIFF")
    assert at + 3 == len(lines)
    content = results(out)
    assert content["metrics"]["images"] == len(content["images"]) == number
    assert content["skipped"]["HEIC"] == {"count": 1, "names": ["phone.heic"]}
    assert content["labels"]["files_without_label"] == 0
    (folder / "3/broken.png").touch()
    finished = predict(trained, str(folder), "--output", str(out), code=1)
    assert f"found {number + 7} files: {number} predicted, 6 skipped, 1 failed" in finished.out
    assert results(out)["labels"] is None


def test_litter_that_a_shell_gives_is_skipped_and_the_pictures_are_predicted(trained, tmp_path):
    for name in ("__MACOSX", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "Thumbs.db").touch()
    shutil.copytree(trained / "pictures/3", tmp_path / "threes")
    paths = sorted(str(path) for path in tmp_path.iterdir())
    finished = predict(trained, *paths, "--output", str(tmp_path / "out"))
    number = len(list((trained / "pictures/3").iterdir()))
    assert f"found {number + 1} files: {number} predicted, 1 skipped" in finished.out
    assert len(results(tmp_path / "out")["images"]) == number


def test_file_names_are_safe_in_spreadsheets_and_come_back(trained, tmp_path):
    """Given relative to the folder, so that the cell begins with the name."""
    good = next((trained / "pictures/3").glob("*.png"))
    names = ["=cmd.png", "+1.png", "-1.png", "@a.png", "'a.png", "plain.png", "a\nb.png"]
    for name in names:
        shutil.copy(good, tmp_path / name)
    found = ["predict", str(only_run(trained)), "--output", "out", "--", *names]
    assert run(tmp_path, *found).code == 0
    cells = [row["file"] for row in table(tmp_path / "out")]
    assert not [cell for cell in cells if cell[0] in "=+-@"]
    assert [cell[1:] if cell[0] == "'" else cell for cell in cells] == names
    assert cells == [safe(name) for name in names]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("digits", "nowhere"), "nowhere does not exist"),
        (("digits", "empty"), "empty has no pictures in it"),
        (("cifar", "pictures"), "no run is called cifar"),
        (("notes.txt", "pictures"), "notes.txt is neither"),
        (("notes.txt", "pictures", "--compile"), "--compile is for runs, and notes.txt is a file"),
        (("digits", "pictures", "--device", "cuda:7"), "--device cuda:7"),
        (("digits", "pictures", "--labels", "labels.csv"), "1.png, eleven: not a file and a class"),
        (("digits", "pictures", "--labels", "missing.csv"), "missing.csv"),
        (("digits", "unlabelled", "--labels", "folders"), "its folder is no class"),
    ],
)
def test_wrong_requests_are_one_line(trained, arguments, named):
    (trained / "empty").mkdir(exist_ok=True)
    (trained / "unlabelled").mkdir(exist_ok=True)
    Image.new("L", (8, 8)).save(trained / "unlabelled/1.png")
    (trained / "notes.txt").write_text("a note")
    (trained / "labels.csv").write_text("file,label\n1.png,eleven\n")
    assert named in run(trained, "predict", *arguments).error_line()
