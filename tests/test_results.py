"""What is written about predictions that are made up here: hostile names, odd numbers."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

import reslab
from reslab.classifier import Classifier
from reslab.evaluation import figures
from reslab.evaluation.metrics import summarize
from reslab.evaluation.predictions import Predictions
from reslab.predicting.predict import Predicted, predict_arrays
from reslab.reports.report import Options, Outcome, report
from reslab.runs.description import Description
from reslab.terminal.outcome import print_outcome

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(reslab.__file__).parent / "reports/predictions.schema.json").read_text())
)
IMAGE = torch.zeros(1, 8, 8, dtype=torch.uint8)


def describe(names: Sequence[str]) -> Description:
    return Description("a-run", "pets", tuple(names), 1, 8, (0.5,), (0.5,), False, {}, None)


def reported(
    folder: Path, names: Sequence[str], answers: Sequence[tuple[str, int | None, int]], **options
) -> Outcome:
    """Results of files, each with its label and what is predicted of it."""
    shares = np.full((len(names), len(names)), 0.1, np.float32) + np.eye(len(names))
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    stream = [Predicted(Path(file), label, IMAGE, shares[k]) for file, label, k in answers]
    return report(stream, len(stream), describe(names), Options(**options), folder)


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as lines:
        return list(csv.reader(lines))


@pytest.mark.slow
def test_no_table_has_a_cell_that_a_spreadsheet_would_run(tmp_path):
    names = ["=1+1", "@cat", "dog"]
    answers = [("a/=cmd.png", 0, 0), ("a/-1.png", 1, 0), ("b/c.png", 0, 1), ("b/d.png", 2, 2)]
    outcome = reported(tmp_path, names, answers, kaggle=True)
    assert cells(tmp_path / "submission.csv") == [
        *(["ID", "Labels"], ["'=cmd", "0"], ["'-1", "0"], ["c", "1"], ["d", "2"])
    ]
    assert cells(tmp_path / "confusion.csv") == [
        ["truth \\ predicted", "'=1+1", "'@cat", "dog"],
        *(["'=1+1", "1", "1", "0"], ["'@cat", "1", "0", "0"], ["dog", "0", "0", "1"]),
    ]
    tables = [path for path in outcome.written if path.suffix == ".csv"]
    assert len(tables) == 6
    assert not [c for path in tables for row in cells(path) for c in row if c[:1] in [*"=+-@"]]


@pytest.mark.long
def test_ids_that_files_of_several_folders_share_are_said(tmp_path, capsys):
    answers = [("a/1.png", None, 0), ("b/1.png", None, 1), ("c/1.png", None, 1), ("c/2.png", 0, 1)]
    print_outcome(reported(tmp_path, ["cat", "dog"], answers, kaggle=True))
    assert "so that 2 rows repeat the ID of another" in capsys.readouterr().err
    print_outcome(reported(tmp_path, ["cat", "dog"], answers[2:], kaggle=True))
    assert "repeat" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", [r"$\frac$", "$5", r"\$", "$a$ and $b$"])
def test_a_name_that_looks_like_a_formula_is_drawn_as_it_is(tmp_path, monkeypatch, name):
    """Compared with pictures for which matplotlib is told to parse no formula at all."""
    shares = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    ours = Predictions(shares, np.array([0, 1]), (name, "dog"))

    def pictures(folder: Path) -> list[bytes]:
        folder.mkdir()
        paths = [
            figures.draw_confusion(ours, name, folder / "confusion.png"),
            figures.draw_per_class(summarize(ours, 0.5), name, folder / "per_class.png"),
            figures.draw_reliability({name: ours}, name, folder / "reliability.png"),
        ]
        return [Image.open(path).tobytes() for path in paths]

    drawn = pictures(tmp_path / "drawn")
    monkeypatch.setattr(figures, "literal", str)
    for function in ("draw_confusion", "draw_per_class", "draw_reliability"):
        monkeypatch.setattr(figures, function, getattr(figures, function).__wrapped__)
    ours_in_style = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with matplotlib.rc_context(ours_in_style | {"text.parse_math": False}):
        assert drawn == pictures(tmp_path / "expected")


@pytest.mark.long
def test_where_only_some_are_labelled_the_terminal_says_of_which_it_speaks(tmp_path, capsys):
    answers = [("1.png", 0, 0), ("2.png", 1, 0), ("3.png", None, 1)]
    some = reported(tmp_path, ["cat", "dog"], answers)
    print_outcome(some)
    said = capsys.readouterr().out
    assert "accuracy 50.00% of 2 labeled" in said
    assert "at threshold 0.5: 100.00% of the labeled answered, 50.00% of them right" in said
    print_outcome(reported(tmp_path, ["cat", "dog"], answers[:2]))
    assert "labeled" not in capsys.readouterr().out


@pytest.mark.slow
def test_where_only_some_are_labelled_titles_of_figures_say_so(tmp_path, monkeypatch):
    titles = []
    monkeypatch.setattr(figures, "draw_confidence", lambda *arguments: titles.append(arguments[3]))
    answers = [("1.png", 0, 0), ("2.png", 1, 0), ("3.png", None, 1)]
    reported(tmp_path, ["cat", "dog"], answers)
    reported(tmp_path, ["cat", "dog"], answers[:2])
    assert titles == ["a-run: 50.00% of 2 labeled images", "a-run: 50.00% of 2 images"]


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_an_error_in_its_row(tmp_path, odd):
    logits = torch.tensor([[1.0, 2.0], [odd, 1.0], [3.0, 1.0]])
    classifier = Classifier(describe(["cat", "dog"]), lambda images: logits)
    images = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    stream = predict_arrays(classifier, "pets-test", images, torch.tensor([1, 1, 1]), 3)
    outcome = report(stream, 3, classifier.description, Options(), tmp_path)
    assert outcome.counts == {"answered": 2, "failed": 1}

    def refuse(constant: str):
        raise ValueError(f"{constant} is no JSON")

    content = json.loads((tmp_path / "predictions.json").read_text(), parse_constant=refuse)
    assert content["images"][1] == {
        "file": "pets-test/00001",
        "error": "the network gave no finite answer",
        "label": "dog",
    }
    assert content["metrics"]["images"] == 2
    assert content["metrics"]["accuracy"] == 0.5


@pytest.mark.long
def test_the_schema_describes_the_metrics_and_nothing_else(tmp_path):
    names = ["cat", "dog", "bird", "fish"]
    answers = [("1.png", 0, 0), ("2.png", 1, 0), ("3.png", 2, 2), ("4.png", None, 1)]
    for threshold in (0.5, 1.0):
        reported(tmp_path, names, answers, threshold=threshold)
        content = json.loads((tmp_path / "predictions.json").read_text())
        assert set(content["metrics"]["top_k_accuracy"]) == {"1", "2", "3"}
        SCHEMA.validate(content)
    metrics = content["metrics"]
    assert metrics["accuracy_when_sure"] is None
    bad = [
        *(
            {key: value for key, value in metrics.items() if key != left_out}
            for left_out in metrics
        ),
        metrics | {"recall": 1.0},
        metrics | {"accuracy": 1.5},
        metrics | {"macro": metrics["macro"] | {"support": 3}},
        metrics | {"per_class": [{"class": "cat"}]},
        metrics | {"top_k_accuracy": {"4": 1.0}},
        metrics | {"confusion": [[0.5]]},
    ]
    assert not [one for one in bad if SCHEMA.is_valid(content | {"metrics": one})]
