"""From what runs have written to the lines of the figures: one a run, or the mean over seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reslab.progress import in_words
from reslab.studio.curves import Columns, batches, columns, stamp
from reslab.studio.scan import Known, Scan
from reslab.studio.sides import title, titles_among

BOTH = (("train", ", training", "4 6"), ("val", ", validation", "solid"))
# A figure to its lines: the column, what a line's name ends in, and its dash.
FIGURES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "batches": (),  # which has a line for each run that trains
    "loss": tuple((f"{part}/loss", words, dash) for part, words, dash in BOTH),
    "accuracy": tuple((f"{part}/accuracy", words, dash) for part, words, dash in BOTH),
    "lr": (("lr", "", "solid"),),
    "throughput": (("throughput", "", "solid"),),
}
NEVER_SMOOTHED = ("lr",)
FAINT = 0.25  # of lines beside those that one is to look at
CROWD = 40  # series, from which on lines are thin and let others through
LINES = ("xs", "ys", "color", "alpha", "width", "dash", "name")
BANDS = ("xs", "ys", "color")
DOTS = ("x", "y", "color", "alpha", "name")
MOST_NOTES = 4

Points = dict[float, tuple[float, float]]
"""An epoch to the place on the axis and the value."""


@dataclass(frozen=True)
class Choice:
    """What is to be seen.

    Attributes:
        x: `epoch` or `minutes`.
        part: `train` or `val`, empty for both.
        weight: Of what was before in what is drawn, from 0 to less than 1.
        fold: Whether runs that differ in the seed alone are one line.
        colors: One a series, again and again.
    """

    x: str
    part: str
    weight: float
    fold: bool
    colors: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """What a series is called, its color, and whether it is one of so many that lines are thin."""

    name: str
    color: str
    thin: bool

    @property
    def width(self) -> int:
        """Of its lines, in pixels."""
        return 1 if self.thin else 2

    @property
    def alpha(self) -> float:
        """How much its lines hide what is below."""
        return 0.6 if self.thin else 1.0


def series(scan: Scan, names: Sequence[str], choice: Choice, cursor: str = "") -> dict[str, Any]:
    """What is new of some runs' lines since an answer before.

    A series is told whole once a file of one of its runs is another one: `metrics.csv` is replaced
    after every epoch, and a run that is resumed may shorten it.

    Args:
        scan: All runs.
        names: Theirs.
        choice: What is to be seen.
        cursor: That answer's, empty for all.

    Returns:
        The `order` of all series' keys; those `series` that are new or changed, each with its
        sources for each of the `figures`; `notes`, a kind and a sentence; the names that are
        `missing`; whether some run is `live`; and the `cursor`.
    """
    scan.read_all()
    groups: dict[str, list[Known]] = {}
    missing = []
    for name in names:
        if one := scan.known(name):
            groups.setdefault(one.line["group"] if choice.fold else name, []).append(one)
        else:
            missing.append(name)
    everyone = [one for members in groups.values() for one in members]
    called = titles_among([one.repeat for one in everyone if one.repeat])
    found, marks, known = [], [], set(cursor.split(","))
    for at, (key, members) in enumerate(groups.items()):
        color = choice.colors[at % len(choice.colors)]
        repeats = [one.repeat for one in members if one.repeat]
        name = title(repeats, called) if repeats else members[0].directory.name
        look = Look(name, color, thin=len(groups) > CROWD)
        marks.append(_mark(key, members, look, choice))
        if marks[-1] not in known:
            found.append(_one(key, members, look, choice))
    return {
        "order": list(groups),
        "series": found,
        "notes": _notes(everyone, missing),
        "missing": missing,
        "live": any(one.line["state"] == "running" for one in everyone),
        "cursor": ",".join(marks),
    }


def smoothed(values: Iterable[float], weight: float) -> list[float]:
    """The mean of each value and those before, whose weights fall from one to the one before."""
    found, total, norm = [], 0.0, 0.0
    for value in values:
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        found.append(total / norm)
    return found


def _mark(key: str, members: Sequence[Known], look: Look, choice: Choice) -> str:
    """Text that is another one once something about a series is."""
    files = [one.directory.metrics_file for one in members]
    files += [one.directory.progress_file for one in members if one.line["state"] == "running"]
    return stamp(*files, about=(key, look, choice))


def _one(key: str, members: Sequence[Known], look: Look, choice: Choice) -> dict[str, Any]:
    """A series with its sources for each figure."""
    kept = [columns(one) for one in members]
    figures = {}
    for figure, drawn in FIGURES.items():
        lines: list[tuple[Any, ...]] = []
        bands: list[tuple[Any, ...]] = []
        weight = 0.0 if figure in NEVER_SMOOTHED else choice.weight
        for column, words, dash in drawn:
            if choice.part and "/" in column and not column.startswith(f"{choice.part}/"):
                continue
            name = look.name + words
            raw = [_points(one, choice.x, column) for one in kept]
            seeds = [points for one in raw if (points := _smoothed(one, weight))]
            if not seeds:
                continue
            style = look.color, look.alpha, look.width, dash
            if len(members) == 1:
                if weight:
                    faint = look.color, FAINT, 1, dash, f"{name}, not smoothed"
                    lines.append((*_line(raw[0]), *faint))
                lines.append((*_line(seeds[0]), *style, name))
                continue
            shared = _over_seeds(seeds)
            end = max(shared, default=0.0)
            if shared:
                xs, means, least, most = map(list, zip(*shared.values(), strict=True))
                lines.append((xs, means, *style, f"{name} (n = {len(seeds)})"))
                bands.append(([*xs, *reversed(xs)], [*least, *reversed(most)], look.color))
            for one, points in zip(members, raw, strict=True):
                rest = {at: point for at, point in _smoothed(points, weight).items() if at >= end}
                if max(rest, default=end) > end:
                    alone = f"{one.directory.name}{words}, beyond the mean"
                    faint = look.color, FAINT, 1, dash, alone
                    lines.append((*_line(rest), *faint))
        if figure == "batches":
            for run in (one.directory for one in members if one.line["state"] == "running"):
                solid = look.color, look.alpha, look.width, "solid", run.name
                lines.append((*batches(run), *solid))
        # Of a single point a line shows nothing.
        dots = [(*xs, *ys, *style[:2], style[-1]) for xs, ys, *style in lines if len(xs) == 1]
        figures[figure] = {
            "lines": _as_columns(LINES, lines),
            "bands": _as_columns(BANDS, bands),
            "dots": _as_columns(DOTS, dots),
        }
    return {"key": key, "name": look.name, "color": look.color, "figures": figures}


def _as_columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: [row[at] for row in rows] for at, name in enumerate(names)}


def _points(kept: Columns, x: str, y: str) -> Points:
    return {
        epoch: (place, value)
        for epoch, place, value in zip(kept["epoch"], kept[x], kept[y], strict=True)
        if epoch is not None and place is not None and value is not None
    }


def _smoothed(points: Points, weight: float) -> Points:
    values = smoothed((value for _, value in points.values()), weight)
    return {
        epoch: (place, value)
        for (epoch, (place, _)), value in zip(points.items(), values, strict=True)
    }


def _line(points: Points) -> tuple[list[float], list[float]]:
    """Places, and values."""
    return [place for place, _ in points.values()], [value for _, value in points.values()]


def _over_seeds(seeds: Sequence[Points]) -> dict[float, tuple[float, float, float, float]]:
    """Place, mean, least and most of each epoch that all have: a mean of fewer would jump there."""
    shared = {}
    for epoch in sorted(set(seeds[0]).intersection(*seeds)):
        places, values = zip(*(points[epoch] for points in seeds), strict=True)
        mean = sum(values) / len(values)
        shared[epoch] = (sum(places) / len(places), mean, min(values), max(values))
    return shared


def _notes(everyone: Sequence[Known], missing: Sequence[str]) -> list[tuple[str, str]]:
    """What is to be said of runs: how far they are, why they failed, that they are gone."""
    notes = []
    for one in everyone:
        if at := one.directory.progress() if one.line["state"] == "running" else None:
            left = f", {in_words(at.seconds_left)} left" if at.seconds_left is not None else ""
            notes.append(("hint", f"{one.directory.name}: epoch {at.epoch} of {at.epochs}{left}"))
        elif one.line["state"] == "failed":
            notes.append(("error", f"{one.directory.name} failed: {one.line['why']}"))
    notes += [("error", f"{name} is not among the runs any more") for name in missing]
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES - 1 :] = [("hint", f"and {len(notes) - MOST_NOTES + 1} more such lines")]
    return notes
