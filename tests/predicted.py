"""What `reslab predict` writes, run and read."""

import csv
import json
from pathlib import Path

import jsonschema

import reslab
from processes import Finished, run

SCHEMA = Path(reslab.__file__).parent / "reports/predictions.schema.json"


def predict(folder: Path, *arguments: str, code: int = 0) -> Finished:
    """Runs `reslab predict digits`, which is to end so."""
    finished = run(folder, "predict", "digits", *arguments)
    assert finished.code == code, finished.out + finished.err
    return finished


def results(folder: Path) -> dict:
    """The content of `predictions.json`, which its schema describes."""
    content = json.loads((folder / "predictions.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))
    return content


def table(folder: Path) -> list[dict]:
    """The rows of `predictions.csv`."""
    with (folder / "predictions.csv").open(newline="", errors="surrogateescape") as lines:
        return list(csv.DictReader(lines))
