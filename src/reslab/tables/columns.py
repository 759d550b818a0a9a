"""What a table's columns say of a row, as text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]
"""What `collect.summarize` says of a row."""


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it; a column that is empty in every row is left out."""

    heading: str
    text: Callable[[Line], str]


def _accuracy(line: Line) -> str:
    if not line["n"]:
        return ", ".join(sorted(set(line["unfinished"].values())))
    spread = f" ± {line['std']:.2f}" if line["std"] is not None else ""
    return f"{line['accuracy']:.2f}{spread}"


def _number_of_seeds(line: Line) -> str:
    asked = line["n"] + len(line["unfinished"])
    return f"{line['n']}/{asked}" if line["unfinished"] else f"{asked}"


def _published(key: str) -> Callable[[Line], str]:
    def text(line: Line) -> str:
        value = line[f"published_{key}"]
        if isinstance(value, list):
            return " to ".join(map(str, value))
        return "" if value is None else str(value)

    return text


def _minutes(line: Line) -> str:
    if line["minutes"] is None:
        return ""
    return f"{line['minutes']:.2f}" if line["minutes"] < 1 else f"{line['minutes']:.1f}"


def _given(key: str, form: str = "") -> Callable[[Line], str]:
    return lambda line: "" if line[key] is None else format(line[key], form)


COLUMNS = (
    Column("Model", _given("model")),
    Column("Test acc., %", _accuracy),
    Column("n", _number_of_seeds),
    Column("paper", _published("accuracy")),
    Column("diff.", _given("difference", "+.1f")),
    Column("Train, %", _given("train_accuracy", ".2f")),
    Column("paper", _published("train_accuracy")),
    Column("Parameters", _given("parameters", ",")),
    Column("paper", _given("published_parameters")),
    Column("Min", _minutes),
    Column("paper", _given("published_minutes")),
    Column("Epochs", _given("epochs", "g")),
)


def as_text(lines: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the columns that say something."""
    columns = [(c.heading, [c.text(line) for line in lines]) for c in COLUMNS]
    columns = [(heading, texts) for heading, texts in columns if any(texts)]
    if not any(line["published_train_accuracy"] for line in lines):
        columns = [(heading, texts) for heading, texts in columns if heading != "Train, %"]
    headings = [heading for heading, _ in columns]
    return headings, [list(row) for row in zip(*(texts for _, texts in columns), strict=True)]
