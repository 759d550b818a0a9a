"""What a table's columns say of a row, as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from reslab.tables.stats import Comparison

Line = dict[str, Any]
"""What `summarize` says of a row."""


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it; a column that is empty in every row is left out."""

    name: str
    heading: str
    text: Callable[[Any], str]
    extra: str | None = None  # the name by which a table asks for it
    terminal: bool = True  # whether it is among the few that 80 columns hold


def _accuracy(line: Line) -> str:
    if not line["n"]:
        return ", ".join(sorted(set(line["unfinished"].values())))
    return with_spread(line["accuracy"], line["std"])


def _mean_of(key: str) -> Callable[[Line], str]:
    return lambda line: "" if line[key] is None else with_spread(line[key], line[f"{key}_std"])


def with_spread(mean: float, std: float | None) -> str:
    """A mean with its standard deviation, if there is one."""
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


def in_minutes(minutes: float) -> str:
    """Minutes with one place, those below one with two."""
    return f"{minutes:.2f}" if minutes < 1 else f"{minutes:.1f}"


def _minutes(line: Line) -> str:
    if line["minutes"] is None:
        return ""
    return in_minutes(line["minutes"]) + "*" * (not line["alone"])


def _rate(line: Line) -> str:
    if line["images_per_second"] is None:
        return ""
    return f"{line['images_per_second']:,.0f}" + ("" if line["inference_alone"] else "*")


def _given(key: str, form: str = "") -> Callable[[Line], str]:
    return lambda line: "" if line[key] is None else format(line[key], form)


COLUMNS = (
    Column("model", "Model", _given("model")),
    Column("accuracy", "Test acc., %", _accuracy),
    Column("interval", "95 %", _interval, terminal=False),
    Column("n", "n", _number_of_seeds),
    Column("accuracy paper", "paper", _published("accuracy")),
    Column("difference", "diff.", _given("difference", "+.2f")),
    Column("by loss", "By val. loss, %", _mean_of("by_loss"), "choices", terminal=False),
    Column("by accuracy", "By val. acc., %", _mean_of("by_accuracy"), "choices", terminal=False),
    Column("last", "Last, %", _mean_of("last"), terminal=False),
    Column("ece", "ECE", _given("ece", ".3f"), terminal=False),
    Column(
        "train accuracy",
        "Train, %",
        _given("train_accuracy", ".2f"),
        "train_accuracy",
        terminal=False,
    ),
    Column(
        "train accuracy paper",
        "paper",
        _published("train_accuracy"),
        "train_accuracy",
        terminal=False,
    ),
    Column(
        "validation accuracy",
        "Val., %",
        _given("val_accuracy", ".2f"),
        "val_accuracy",
        terminal=False,
    ),
    Column(
        "validation accuracy paper",
        "paper",
        _published("val_accuracy"),
        "val_accuracy",
        terminal=False,
    ),
    Column("loss", "Train loss", _given("loss", ".4f"), "loss", terminal=False),
    Column("loss paper", "paper", _published("loss"), "loss", terminal=False),
    Column("parameters", "Parameters", _given("parameters", ",")),
    Column("parameters paper", "paper", _published("parameters")),
    Column("macs", "MACs", _given("macs", ","), "macs", terminal=False),
    Column("macs paper", "paper", _published("macs"), "macs", terminal=False),
    Column("memory", "Memory, MiB", _given("memory", ",.0f"), "memory", terminal=False),
    Column("memory paper", "paper", _published("memory"), "memory", terminal=False),
    Column("file", "File, MiB", _given("mebibytes", ".2f"), "mebibytes", terminal=False),
    Column("file paper", "paper", _published("mebibytes"), "mebibytes", terminal=False),
    Column("inference", "Infer., img/s", _rate, "images_per_second", terminal=False),
    Column(
        "inference paper",
        "paper",
        _published("images_per_second"),
        "images_per_second",
        terminal=False,
    ),
    Column("minutes", "Min", _minutes),
    Column("minutes paper", "paper", _published("minutes")),
    Column("epochs", "Epochs", _given("epochs", "g"), terminal=False),
)


def _between(key: str) -> Callable[[Comparison], str]:
    def text(pair: Comparison) -> str:
        interval = getattr(pair, key)
        return "" if interval is None else "{:+.2f} to {:+.2f}".format(*interval)

    return text


def _gap(pair: Comparison) -> str:
    return f"{pair.difference:+.2f}" + ("" if pair.std is None else f" ± {pair.std:.2f}")


def _over_seeds(key: str) -> Callable[[Comparison], str]:
    return lambda pair: " / ".join(f"{count:,}" for count in getattr(pair, key))


def probability(value: float) -> str:
    """As tables write it: three places, or of a smaller one the power of ten."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


PAIR_COLUMNS = (
    Column("pair", "Pair", lambda pair: f"{pair.first} - {pair.second}"),
    Column("difference", "Diff., pp", _gap),
    Column("image interval", "95 %, images", _between("image_interval")),
    Column("seed interval", "95 %, seeds", _between("seed_interval")),
    Column("joint interval", "95 %, both", _between("joint_interval")),
    Column("seeds", "Seeds", lambda pair: str(len(pair.seeds))),
    Column("images", "Images", lambda pair: f"{pair.images:,}", terminal=False),
    Column("only first", "Only 1st", _over_seeds("only_first"), terminal=False),
    Column("only second", "Only 2nd", _over_seeds("only_second"), terminal=False),
    Column("p", "p (Holm)", lambda pair: probability(pair.adjusted_p)),
)

Chosen = list[tuple[Column, list[str]]]
"""Columns with their texts from row to row."""


def choose(lines: list[Line], extra: Sequence[str] = (), *, terminal: bool = False) -> Chosen:
    """The columns of a table's rows that say something.

    Args:
        lines: The table's lines.
        extra: Columns that are shown only where they are asked for.
        terminal: Whether to leave out what 80 columns do not hold.
    """
    columns = [column for column in COLUMNS if column.extra is None or column.extra in extra]
    return _filled(columns, lines, terminal)


def choose_of_pairs(pairs: Sequence[Comparison], *, terminal: bool = False) -> Chosen:
    """The columns of comparisons of two models that say something.

    The terminal has room for one of the intervals, the one that takes most into account.
    """
    chosen = _filled(PAIR_COLUMNS, pairs, terminal)
    intervals = [column for column, _ in chosen if column.name.endswith("interval")]
    left_out = intervals[:-1] if terminal else []
    return [(column, texts) for column, texts in chosen if column not in left_out]


def _filled(columns: Sequence[Column], items: Sequence[Any], terminal: bool) -> Chosen:
    shown = [column for column in columns if column.terminal or not terminal]
    texts = [(column, [column.text(item) for item in items]) for column in shown]
    return [(column, said) for column, said in texts if any(said)]


def as_text(chosen: Chosen) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of what was chosen."""
    headings = [column.heading for column, _ in chosen]
    return headings, [list(row) for row in zip(*(texts for _, texts in chosen), strict=True)]
