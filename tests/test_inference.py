"""`reslab predict` and `reslab evaluate`: real files, a trained network, results that agree."""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as oracle

import reslab
from browser import opened
from pictures import png
from processes import run, start
from reslab.pictures.find import Found
from reslab.pictures.labels import read_labels
from reslab.predicting.load import data_of, load
from reslab.predicting.predict import predict_files
from reslab.reports.results import safe
from reslab.runs import checkpoint as files
from training import NEEDS_COMPILER, SMALL, only_run

SCHEMA = Path(reslab.__file__).parent / "reports/predictions.schema.json"


def predict(folder: Path, *arguments: str, code: int = 0):
    finished = run(folder, "predict", "digits", *arguments)
    assert finished.code == code, finished.out + finished.err
    return finished


def results(folder: Path) -> dict:
    content = json.loads((folder / "predictions.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))
    return content


def table(folder: Path) -> list[dict]:
    with (folder / "predictions.csv").open(newline="", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))


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


def test_a_labelled_folder_a_csv_of_labels_and_the_test_set_agree(trained, tmp_path):
    predict(trained, "pictures", "--labels", "folders", "--output", str(tmp_path / "folders"))
    labels = tmp_path / "labels.csv"
    with labels.open("w") as lines:
        print("file,label", file=lines)
        for path in (trained / "pictures").rglob("*.png"):
            print(f"{path},{path.parent.name}", file=lines)
    predict(trained, "pictures", "--labels", str(labels), "--output", str(tmp_path / "csv"))
    finished = run(trained, "evaluate", "digits", "--output", str(tmp_path))
    assert finished.code == 0, finished.err
    evaluated = tmp_path / only_run(trained).name
    content = {name: results(tmp_path / name) for name in ("folders", "csv", evaluated.name)}
    assert content["folders"]["metrics"] == content["csv"]["metrics"]
    ours, theirs = content["folders"]["metrics"], content[evaluated.name]["metrics"]
    assert ours["images"] == theirs["images"] == 360
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["confusion"] == theirs["confusion"]

    rows = table(evaluated)
    truth = [row["label"] for row in rows]
    classes = [str(k) for k in range(10)]
    predicted = [max(classes, key=lambda k: float(row[k])) for row in rows]
    assert theirs["accuracy"] == pytest.approx(oracle.accuracy_score(truth, predicted))
    assert theirs["confusion"] == oracle.confusion_matrix(truth, predicted).tolist()
    assert json.loads((evaluated / "metrics.json").read_text())["confusion"] == theirs["confusion"]
    with (evaluated / "confusion.csv").open() as lines:
        assert [[int(n) for n in row[1:]] for row in list(csv.reader(lines))[1:]] == theirs[
            "confusion"
        ]
    record = load(only_run(trained)).record
    assert theirs["accuracy"] == pytest.approx(record.test_accuracy, abs=0.01)
    for name in ("confusion.png", "per_class.png", "confidence.png", "reliability.png"):
        assert Image.open(evaluated / name).size[0] > 500


def test_without_labels_there_are_page_and_picture_of_how_sure_the_answers_are(trained, tmp_path):
    finished = predict(trained, "pictures", "--output", str(tmp_path))
    assert "confidence.png" in finished.out
    names = {"predictions.json", "predictions.csv", "confidence.png", "dashboard.html"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert Image.open(tmp_path / "confidence.png").size[0] > 500


def test_confident_mistakes_come_surest_first(trained, tmp_path):
    run(trained, "evaluate", "digits", "--output", str(tmp_path))
    folder = tmp_path / only_run(trained).name
    with (folder / "mistakes.csv").open() as lines:
        mistakes = list(csv.DictReader(lines))
    rows = {row["file"]: row for row in table(folder)}
    sure = [float(one["confidence"]) for one in mistakes]
    assert sure == sorted(sure, reverse=True)
    assert all(rows[m["file"]]["label"] == m["truth"] != m["predicted"] for m in mistakes)
    wrong = [
        r
        for r in rows.values()
        if r["label"] != max(map(str, range(10)), key=lambda k: float(r[k]))
    ]
    assert len(mistakes) == min(50, len(wrong)) > 0


def test_the_kaggle_file_has_numbers_of_files_and_classes(trained, tmp_path):
    predict(trained, "pictures", "--format", "kaggle", "--output", str(tmp_path))
    lines = (tmp_path / "submission.csv").read_text().split()
    assert lines[0] == "ID,Labels"
    assert len(lines) == 361
    for line, row in zip(lines[1:], results(tmp_path)["images"], strict=True):
        assert line == f"{Path(row['file']).stem},{np.argmax(row['probabilities'])}"


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


@pytest.mark.slow
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


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_with_a_payload_or_a_foreign_class_is_refused_and_not_run(trained, tmp_path):
    """The class as the checkpoint names it, or of an older version the configuration."""
    proof = tmp_path / "proof"
    evil = {"_target_": "os.system", "command": f"touch {proof}"}
    for name, expected in {
        "payload": "refused",
        "target": "os.system is not allowed",
        "older": "os.system is not allowed",
    }.items():
        folder = tmp_path / name
        shutil.copytree(only_run(trained), folder)
        best = folder / "checkpoints/best.ckpt"
        saved = files.load(best)
        if name == "payload":
            saved["hyper"] = Payload(proof)
        elif name == "target":
            saved["reslab"]["description"]["model"] = evil
        else:
            description = saved["reslab"].pop("description")
            saved["reslab"] |= {key: description[key] for key in ("class_names", "mean", "std")}
            text = (folder / "config.yaml").read_text()
            target = "reslab.nn.PlainCNN"
            assert target in text
            lines = "\n  ".join(f"{key}: {value}" for key, value in evil.items())
            (folder / "config.yaml").write_text(text.replace(f"_target_: {target}", lines))
        files.save(saved, best)
        asked = [str(folder)] if name == "older" else [str(folder), str(best)]
        for what in asked:
            finished = run(trained, "predict", what, "pictures")
            assert expected in finished.error_line()
            assert not proof.exists()


def test_keys_that_name_classes_import_nothing(trained, tmp_path):
    """Lightning would import what `_instantiator` names; such keys mean nothing here."""
    folder = tmp_path / "run"
    shutil.copytree(only_run(trained), folder)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'proof')!r}, 'w')")
    best = folder / "checkpoints/best.ckpt"
    keys = {"_class_path": "evil.Evil", "_instantiator": "evil.instantiate"}
    files.save(files.load(best) | keys | {"hyper_parameters": keys}, best)
    folders = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": folders}
    picture = next((trained / "pictures/3").glob("*.png"))
    command = ["-m", "reslab.cli", "predict", str(folder), str(picture)]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "proof").exists()
    subprocess.run([sys.executable, "-c", "import evil"], env=environment, check=True)
    assert (tmp_path / "proof").exists()  # it could have been imported


def test_nothing_of_an_earlier_call_stands_beside_new_results(trained, tmp_path):
    predict(
        trained, "pictures", "--labels", "folders", "--format", "kaggle", "--output", str(tmp_path)
    )
    before = {path.name for path in tmp_path.iterdir()}
    assert {"metrics.json", "dashboard.html", "submission.csv", "confusion.png"} <= before
    picture = str(next((trained / "pictures/3").glob("*.png")))
    predict(trained, picture, "--output", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"predictions.json", "predictions.csv"}


def test_its_own_results_are_no_pictures(trained, tmp_path):
    for number in range(3):
        shutil.copy(next((trained / "pictures/3").glob("*.png")), tmp_path / f"{number}.png")
    for _ in range(2):
        predict(trained, str(tmp_path), "--output", str(tmp_path / "out"))
        assert len(results(tmp_path / "out")["images"]) == 3


def test_a_csv_of_labels_may_name_some_and_must_name_one(trained, tmp_path):
    (tmp_path / "some.csv").write_text(
        f"file,label\n\n{trained}/pictures/../pictures/3/{next((trained / 'pictures/3').glob('*.png')).name},3\n\n"
    )
    finished = predict(
        trained, "pictures", "--labels", str(tmp_path / "some.csv"), "--output", str(tmp_path)
    )
    assert "359 of 360 files have no label" in finished.out
    assert results(tmp_path)["metrics"]["images"] == 1
    (tmp_path / "none.csv").write_text("file,label\nelsewhere.png,3\n")
    refused = run(trained, "predict", "digits", "pictures", "--labels", str(tmp_path / "none.csv"))
    assert "it names none of the 360 files" in refused.error_line()


def test_class_names_that_are_numbers_are_names():
    truth = read_labels("folders", ("1", "2", "3"))
    assert truth(Path("a/3/x.png")) == 2
    assert truth(Path("a/0/x.png")) is None
    assert read_labels("folders", ("cat", "dog"))(Path("a/1/x.png")) == 1


def test_the_page_the_json_and_the_table_of_some_labelled_pictures_agree(trained, tmp_path):
    """One folder is no class: its pictures are predicted and counted, and are in no share."""
    shutil.copytree(trained / "pictures", tmp_path / "pictures")
    (tmp_path / "pictures/7").rename(tmp_path / "pictures/seven")
    out = tmp_path / "out"
    finished = predict(
        trained, str(tmp_path / "pictures"), "--labels", "folders", "--output", str(out)
    )
    content, rows = results(out), table(out)
    unlabelled = len(list((tmp_path / "pictures/seven").iterdir()))
    assert f"{unlabelled} of 360 files have no label" in finished.out
    assert content["metrics"]["images"] == 360 - unlabelled
    labelled = [row for row in rows if row["label"]]
    assert {Path(row["file"]).parent.name for row in rows if not row["label"]} == {"seven"}
    classes = content["class_names"]
    right = [max(classes, key=lambda k: float(row[k])) == row["label"] for row in labelled]
    confidence = np.array([row["confidence"] for row in content["images"] if "label" in row])
    with opened(out / "dashboard.html") as page:

        def text(name: str) -> str:
            return page.evaluate(f"Bokeh.documents[0].get_model_by_name({name!r}).text")

        assert text("count") == f"{len(rows)} pictures" == f"{len(content['images'])} pictures"
        page.get_by_label("Verdict").select_option("right")
        assert text("count") == f"{sum(right)} pictures"
        page.get_by_label("Verdict").select_option("wrong")
        assert text("count") == f"{len(labelled) - sum(right)} pictures"
        page.locator(".noUi-handle").first.focus()
        for steps, threshold in ((0, 0.5), (20, 0.7)):
            for _ in range(steps):
                page.keyboard.press("ArrowRight")
            sure = confidence >= threshold
            assert text("threshold effect") == (
                f"At {threshold:.2f}, {100 * sure.mean():.1f}% of the labelled pictures are "
                f"answered, of which {100 * np.array(right)[sure].mean():.2f}% are right"
            )
        assert page.problems == []


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


def test_memory_does_not_grow_with_the_number_of_files(trained):
    """What is decoded ahead of the consumer is a few batches, however many files there are."""
    model = load("digits", trained / "outputs/runs", device="cpu", batch_size=8)
    taken = 0
    picture = next((trained / "pictures/3").glob("*.png"))

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield Found(picture)

    stream = predict_files(model, endless(), 8)
    for _ in range(100):
        assert next(stream).probabilities.shape == (10,)
    stream.close()
    assert taken <= 100 + 8 + 16 * ((os.cpu_count() or 1) + 3)


MEMORY = """
import resource, sys
from pathlib import Path
from reslab.cli import main
sys.argv = ["reslab", "predict", *sys.argv[1:]]
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_ten_thousand_real_pictures_are_predicted_as_the_test_set(tmp_path, data_dir):
    """MNIST's test set as PNG: the same images right; the page is small; memory stays flat."""
    short = ("+trainer.limit_train_batches=60", "trainer.max_epochs=1", f"data_dir={data_dir}")
    finished = run(
        tmp_path, "train", "dataset=mnist", *SMALL, "dataset.size=32", "logger=none", *short
    )
    assert finished.code == 0, finished.err
    data = data_of(load(only_run(tmp_path)), None)
    raw = data.source.load(Path(data_dir))  # 28 x 28: to be resized as in training
    for at, (image, label) in enumerate(zip(raw.test_images, raw.test_labels.tolist())):
        path = tmp_path / f"pictures/{label}/{at:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path, compress_level=1)
    evaluated = run(tmp_path, "evaluate", "mnist", "--output", "evaluation")
    assert evaluated.code == 0, evaluated.err
    peaks = []
    for paths in (["pictures/1"], ["pictures"]):
        command = [
            sys.executable,
            "-c",
            MEMORY,
            "mnist",
            *paths,
            "--labels",
            "folders",
            "--output",
            "out",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    theirs = results(tmp_path / "evaluation" / only_run(tmp_path).name)["metrics"]
    ours = results(tmp_path / "out")["metrics"]
    assert ours["images"] == theirs["images"] == 10_000
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["confusion"] == theirs["confusion"]
    assert 0.5 < ours["accuracy"] < 1
    assert (tmp_path / "out/dashboard.html").stat().st_size < 25e6
    assert peaks[1] - peaks[0] < 60  # of 1,135 and 10,000 files; the page holds the pictures
