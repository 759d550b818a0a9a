"""What a row's runs come to."""

import numpy as np
import pandas as pd

from reslab.runs.record import Record
from reslab.tables.collect import Result
from reslab.tables.columns import Line
from reslab.tables.publication import PUBLISHED, Row
from reslab.tables.stats import mean_interval


def summarize(row: Row, results: list[Result]) -> Line:
    """One line of the table: accuracies in percent, time in minutes, over a row's finished runs.

    `std` is the sample standard deviation over seeds and `interval` the mean's 95 % interval, None
    for fewer than two; `last` is the last epoch's, `accuracy` that of the best on validation,
    `by_loss` and `by_accuracy` those of the epochs that these metrics of validation choose.
    `alone` is whether all trained with nothing else on the machine, `inference_alone` whether all
    predicted so.
    """
    mine = [result for result in results if result.cell.row == row]
    runs = [result.run for result in mine if result.run]
    records = [run.record for run in runs]
    frame = pd.DataFrame([record.as_json() for record in records])
    line: Line = {
        "model": row.name,
        "recipe": row.recipe,
        "n": len(records),
        "seeds": [run.cell.seed for run in runs],
        "accuracy": None,
        "std": None,
        "interval": None,
        "last": None,
        "last_std": None,
        "by_loss": None,
        "by_loss_std": None,
        "by_accuracy": None,
        "by_accuracy_std": None,
        "difference": None,
        "ece": None,
        "train_accuracy": None,
        "val_accuracy": None,
        "loss": None,
        "parameters": None,
        "macs": None,
        "memory": None,
        "mebibytes": None,
        "images_per_second": None,
        "minutes": None,
        "epochs": None,
        "hardware": None,
        "alone": all(run.trained_alone for run in runs),
        "inference_alone": all(run.predicted_alone for run in runs),
        **{f"published_{key}": row.published.get(key) for key in PUBLISHED},
        "unfinished": {str(r.cell.seed): r.state for r in mine if not r.record},
    }
    if records:
        from reslab.evaluation.calibration import expected_calibration_error  # with scipy

        accuracy, last = 100 * frame["test/accuracy"], 100 * frame["last/test/accuracy"]
        several = len(records) > 1
        line |= {
            "accuracy": float(accuracy.mean()),
            "std": float(accuracy.std()) if several else None,
            "interval": _within_percent(mean_interval(accuracy.tolist())),
            "last": float(last.mean()),
            "last_std": float(last.std()) if several else None,
            **_chosen_by("by_loss", "val/loss", records),
            **_chosen_by("by_accuracy", "val/accuracy", records),
            "ece": float(np.mean([expected_calibration_error(run.predictions) for run in runs])),
            "difference": difference(float(accuracy.mean()), row.published.get("accuracy")),
            "train_accuracy": 100 * float(frame["train/accuracy"].mean()),
            "val_accuracy": 100 * float(frame["val/accuracy"].mean()),
            "loss": _mean(frame, "train/loss"),
            "parameters": int(frame["parameters"].iloc[0]),
            "macs": int(frame["macs"].iloc[0]),
            "memory": _mean(frame, "peak_memory_bytes", 2**20),
            "mebibytes": _mean(frame, "checkpoint_bytes", 2**20),
            "images_per_second": _mean(frame, "inference_images_per_second"),
            "minutes": float(frame["seconds"].mean()) / 60,
            "epochs": float(frame["epochs"].mean()),
            "hardware": " / ".join(sorted(set(frame["hardware"]))),
        }
    return line


def _chosen_by(key: str, metric: str, records: list[Record]) -> Line:
    """The test accuracy of the epochs that a metric chooses, None where a record does not say."""
    choices = [(record.choices or {}).get(metric) for record in records]
    values = [100 * choice.test_accuracy for choice in choices if choice]
    if len(values) < len(records):
        return {}
    several = len(values) > 1
    return {
        key: float(np.mean(values)),
        f"{key}_std": float(np.std(values, ddof=1)) if several else None,
    }


def _mean(frame: pd.DataFrame, key: str, unit: float = 1.0) -> float | None:
    """The mean of a record's field; None where the records are of a version without it."""
    return float(frame[key].mean()) / unit if key in frame and frame[key].notna().all() else None


def _within_percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (max(0.0, interval[0]), min(100.0, interval[1]))


def difference(ours: float, published: float | list[float] | None) -> float | None:
    """Ours minus the published figure; 0 within a published range, else from its nearer end."""
    if published is None:
        return None
    low, high = published if isinstance(published, list) else (published, published)
    return ours - min(max(ours, low), high)
