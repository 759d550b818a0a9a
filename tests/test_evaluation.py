"""Metrics against scikit-learn, and against closed forms."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn import metrics as oracle
from torchmetrics.functional.classification import multiclass_calibration_error

from reslab.evaluation.calibration import expected_calibration_error, reliability
from reslab.evaluation.metrics import by_threshold, summarize
from reslab.evaluation.predictions import Predictions, of_logits
from reslab.runs.score import score

NAMES = tuple("abcdef")


@pytest.fixture(params=[6, 4])
def predictions(request):
    """300 images; in the second case of four of the six classes alone."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, request.param, 300)
    logits = rng.normal(size=(300, 6))
    logits[:, request.param :] -= 9
    logits[np.arange(300), labels] += 1.5
    return of_logits(logits.astype(np.float16), labels, NAMES)


def test_the_metrics_are_scikit_learn_s(predictions):
    summary, labels = summarize(predictions, 0.5), predictions.labels
    predicted = predictions.predicted
    assert summary["accuracy"] == pytest.approx(oracle.accuracy_score(labels, predicted))
    assert (
        summary["confusion"] == oracle.confusion_matrix(labels, predicted, labels=range(6)).tolist()
    )
    for average in ("macro", "weighted"):
        expected = oracle.precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0
        )
        actual = [summary[average][key] for key in ("precision", "recall", "f1")]
        assert actual == pytest.approx(expected[:3], abs=1e-6)
    expected = oracle.precision_recall_fscore_support(
        labels, predicted, labels=range(6), zero_division=0
    )
    for key, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert [row[key] for row in summary["per_class"]] == pytest.approx(values, abs=1e-6)
    for k, value in summary["top_k_accuracy"].items():
        share = oracle.top_k_accuracy_score(
            labels, predictions.probabilities, k=int(k), labels=range(6)
        )
        assert value == pytest.approx(share, abs=1e-6)
    assert set(summary["top_k_accuracy"]) == {"1", "2", "3", "5"}


def test_confused_pairs_are_the_commonest_mistakes(predictions):
    matrix = oracle.confusion_matrix(predictions.labels, predictions.predicted, labels=range(6))
    np.fill_diagonal(matrix, 0)
    pairs = summarize(predictions, 0.5)["confused_pairs"]
    assert [pair["count"] for pair in pairs] == sorted(matrix[matrix > 0], reverse=True)[:10]
    for pair in pairs:
        assert matrix[NAMES.index(pair["truth"]), NAMES.index(pair["predicted"])] == pair["count"]


@pytest.mark.parametrize("images", [1, 7, 300, 20000])
@pytest.mark.parametrize("sure", [0.3, 3.0])
def test_the_calibration_error_is_torchmetrics_s_and_that_of_the_diagram(images, sure):
    rng = np.random.default_rng(images)
    logits = (sure * rng.normal(size=(images, 6))).astype(np.float16)
    predictions = of_logits(logits, rng.integers(0, 6, images), NAMES)
    expected = multiclass_calibration_error(
        torch.from_numpy(logits).float().softmax(1),
        torch.from_numpy(predictions.labels),
        num_classes=6,
        n_bins=15,
    )
    assert expected_calibration_error(predictions) == pytest.approx(expected.item(), abs=1e-6)
    bins = reliability(predictions)
    assert sum(one.count for one in bins) == images
    for one in bins:
        inside = (predictions.confidence > one.low) & (predictions.confidence <= one.high)
        assert one.count == inside.sum()


@pytest.mark.parametrize("sure", [0.3, 3.0, 90.0])
def test_probabilities_and_loss_are_torch_s(sure):
    rng = np.random.default_rng(2)
    logits = (sure * rng.normal(size=(200, 6))).astype(np.float16)
    labels = rng.integers(0, 6, 200)
    ours, tensor = of_logits(logits, labels, NAMES).probabilities, torch.from_numpy(logits)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, tensor.float().softmax(1).numpy(), rtol=1e-5, atol=1e-30)
    loss = F.cross_entropy(tensor.double(), torch.from_numpy(labels)).item()
    assert score(logits, labels)["loss"] == pytest.approx(loss, rel=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("label", [0, 1])
def test_the_loss_of_what_is_no_number_is_torch_s(value, label):
    logits = np.array([[1, value]], np.float16)
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.tensor([label])).item()
    assert score(logits, np.array([label]))["loss"] == pytest.approx(loss, nan_ok=True)


def test_who_is_wholly_sure_is_in_the_last_bin_with_who_is_nearly():
    """As Guo et al. have it, `(14/15, 1]`; torchmetrics has a bin of its own for just 1."""
    probabilities = np.array([[1, 0], [1, 0], [0.97, 0.03]], np.float32)
    predictions = Predictions(probabilities, np.array([0, 1, 0]), ("a", "b"))
    expected = abs(2 / 3 - (1 + 1 + 0.97) / 3)
    assert expected_calibration_error(predictions) == pytest.approx(expected, abs=1e-6)


def test_calibration_of_a_known_case():
    """Always 80 % sure and always right: an error of 0.2."""
    sure = Predictions(
        np.tile([[0.8, 0.2]], (10, 1)).astype(np.float32), np.zeros(10, int), ("a", "b")
    )
    assert summarize(sure, 0.5)["ece"] == pytest.approx(0.2, abs=1e-6)


def test_a_threshold_leaves_what_is_at_least_as_sure():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], np.float32)
    predictions = Predictions(probabilities, np.array([0, 1, 1]), ("a", "b"))
    rows = {
        round(row["threshold"], 2): row
        for row in by_threshold(predictions.confidence, predictions.right)
    }
    assert rows[0.5] == {"threshold": 0.5, "coverage": 1.0, "accuracy": pytest.approx(2 / 3)}
    assert rows[0.7]["coverage"] == pytest.approx(2 / 3)
    assert rows[0.7]["accuracy"] == 1.0
    assert rows[0.95]["coverage"] == 0.0
    assert rows[0.95]["accuracy"] is None
    summary = summarize(predictions, 0.95)
    assert (summary["coverage"], summary["accuracy_when_sure"]) == (0.0, None)
