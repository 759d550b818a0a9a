"""What a table's columns say of a row, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]
"""What `collect.summarize` says of a row."""


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it; a column that is empty in every row is left out."""

    heading: str
    text: Callable[[Line], str]
    extra: str | None = None  # the name by which a table asks for it
    terminal: bool = True  # whether it is among the few that 80 columns hold


def _accuracy(line: Line) -> str:
    if not line["n"]:
        return ", ".join(sorted(set(line["unfinished"].values())))
    return _with_spread(line["accuracy"], line["std"])


def _last(line: Line) -> str:
    return "" if line["last"] is None else _with_spread(line["last"], line["last_std"])


def _with_spread(mean: float, std: float | None) -> str:
    return f"{mean:.2f}" + (f" ± {std:.2f}" if std is not None else "")


def _interval(line: Line) -> str:
    return "" if line["interval"] is None else "{:.2f} to {:.2f}".format(*line["interval"])


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
    text = f"{line['minutes']:.2f}" if line["minutes"] < 1 else f"{line['minutes']:.1f}"
    return text if line["alone"] else f"{text}*"


def _rate(line: Line) -> str:
    if line["images_per_second"] is None:
        return ""
    return f"{line['images_per_second']:,.0f}" + ("" if line["alone"] else "*")


def _given(key: str, form: str = "") -> Callable[[Line], str]:
    return lambda line: "" if line[key] is None else format(line[key], form)


COLUMNS = (
    Column("Model", _given("model")),
    Column("Test acc., %", _accuracy),
    Column("95 %", _interval, terminal=False),
    Column("n", _number_of_seeds),
    Column("paper", _published("accuracy")),
    Column("diff.", _given("difference", "+.1f")),
    Column("Last, %", _last, terminal=False),
    Column("ECE", _given("ece", ".3f"), terminal=False),
    Column("Train, %", _given("train_accuracy", ".2f"), "train_accuracy"),
    Column("paper", _published("train_accuracy"), "train_accuracy"),
    Column("Train loss", _given("loss", ".4f"), "loss"),
    Column("paper", _published("loss"), "loss"),
    Column("Parameters", _given("parameters", ",")),
    Column("paper", _published("parameters")),
    Column("MACs", _given("macs", ","), "macs", terminal=False),
    Column("paper", _published("macs"), "macs", terminal=False),
    Column("Memory, MiB", _given("memory", ",.0f"), "memory", terminal=False),
    Column("File, MiB", _given("mebibytes", ".2f"), "mebibytes", terminal=False),
    Column("paper", _published("mebibytes"), "mebibytes", terminal=False),
    Column("Infer., img/s", _rate, "images_per_second", terminal=False),
    Column("paper", _published("images_per_second"), "images_per_second", terminal=False),
    Column("Min", _minutes),
    Column("paper", _published("minutes")),
    Column("Epochs", _given("epochs", "g"), terminal=False),
)


def as_text(
    lines: list[Line], extra: Sequence[str] = (), *, terminal: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the columns that say something.

    Args:
        lines: The table's lines.
        extra: Columns that are shown only where they are asked for.
        terminal: Whether to leave out what 80 columns do not hold.
    """
    chosen = [
        (column.heading, [column.text(line) for line in lines])
        for column in COLUMNS
        if (column.extra is None or column.extra in extra) and (column.terminal or not terminal)
    ]
    chosen = [(heading, texts) for heading, texts in chosen if any(texts)]
    headings = [heading for heading, _ in chosen]
    return headings, [list(row) for row in zip(*(texts for _, texts in chosen), strict=True)]
