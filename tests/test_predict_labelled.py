"""Pictures whose class is known: metrics, tables and page agree, and with the test set."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from browser import opened
from predicted import predict, results, table
from processes import run
from reslab.predicting.load import load
from training import only_run


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """What `reslab evaluate` has written of the run."""
    folder = tmp_path_factory.mktemp("evaluated")
    finished = run(trained, "evaluate", "digits", "--output", str(folder))
    assert finished.code == 0, finished.err
    return folder / only_run(trained).name


@pytest.mark.slow
def test_a_labelled_folder_a_csv_of_labels_and_the_test_set_agree(trained, evaluated, tmp_path):
    predict(trained, "pictures", "--labels", "folders", "--output", str(tmp_path / "folders"))
    labels = tmp_path / "labels.csv"
    with labels.open("w") as lines:
        print("file,label", file=lines)
        for path in (trained / "pictures").rglob("*.png"):
            print(f"{path},{path.parent.name}", file=lines)
    predict(trained, "pictures", "--labels", str(labels), "--output", str(tmp_path / "csv"))
    content = {name: results(tmp_path / name) for name in ("folders", "csv")}
    assert content["folders"]["metrics"] == content["csv"]["metrics"]
    ours, theirs = content["folders"]["metrics"], results(evaluated)["metrics"]
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


@pytest.mark.long
def test_a_picture_deep_below_its_class_is_of_the_folder_that_training_takes(trained, tmp_path):
    shutil.copytree(trained / "pictures/3", tmp_path / "all/3/2024")
    shutil.copytree(trained / "pictures/3", tmp_path / "all/3/7")
    out = tmp_path / "out"
    for given in ("all", "all/3/2024"):
        predict(trained, str(tmp_path / given), "--labels", "folders", "--output", str(out))
        assert {row["label"] for row in table(out)} == {"3"}


def test_confident_mistakes_come_surest_first(evaluated):
    with (evaluated / "mistakes.csv").open() as lines:
        mistakes = list(csv.DictReader(lines))
    rows = {row["file"]: row for row in table(evaluated)}
    sure = [float(one["confidence"]) for one in mistakes]
    assert sure == sorted(sure, reverse=True)
    assert all(rows[m["file"]]["label"] == m["truth"] != m["predicted"] for m in mistakes)
    wrong = [
        r
        for r in rows.values()
        if r["label"] != max(map(str, range(10)), key=lambda k: float(r[k]))
    ]
    assert len(mistakes) == min(50, len(wrong)) > 0


@pytest.mark.long
def test_a_csv_of_labels_may_name_some_and_must_name_one(trained, tmp_path):
    (tmp_path / "some.csv").write_text(
        f"file,label\n\n{trained}/pictures/../pictures/3/{next((trained / 'pictures/3').glob('*.png')).name},3\n\n"
    )
    finished = predict(
        trained, "pictures", "--labels", str(tmp_path / "some.csv"), "--output", str(tmp_path)
    )
    assert "359 of 360 files have no label" in finished.out
    assert results(tmp_path)["metrics"]["images"] == 1
    (tmp_path / "more.csv").write_text(
        "Datei;Klasse\n9999.png;3\n"
        + "".join(f"{path.stem};3\n" for path in (trained / "pictures/3").glob("*.png"))
    )
    finished = predict(
        trained, "pictures/3", "--labels", str(tmp_path / "more.csv"), "--output", str(tmp_path)
    )
    threes = len(list((trained / "pictures/3").glob("*.png")))
    assert f"1 of {threes + 1} rows name no file: 9999.png" in finished.err
    assert "its columns are separated by semicolons" in finished.err
    assert results(tmp_path)["metrics"]["images"] == threes
    assert results(tmp_path)["labels"]["rows_naming_no_file"] == 1
    (tmp_path / "none.csv").write_text("file,label\nelsewhere.png,3\n")
    refused = run(trained, "predict", "digits", "pictures", "--labels", str(tmp_path / "none.csv"))
    assert "it names none of the 360 files" in refused.error_line()


@pytest.mark.long
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
                f"At {threshold:.2f}, {100 * sure.mean():.1f}% of the labeled pictures are "
                f"answered, of which {100 * np.array(right)[sure].mean():.2f}% are right"
            )
        assert page.problems == []
