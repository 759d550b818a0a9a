"""A comparison as a table, as JSON and as a curve."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reslab.errors import UserError
from reslab.evaluation.figures import own_style, plain, save_figure
from reslab.evaluation.palette import BLUE, ORANGE
from reslab.files import write_atomically
from reslab.markdown import around, insert, markdown_table

NAMES = {"script": "usual script", "loop": "bare loop", "reslab": "reslab"}
COLORS = {"script": "#666666", "loop": BLUE, "reslab": ORANGE}
# Groups whose options say by themselves what they are; `none` and some names are in several others.
TOLD_BY_OPTION = ("recipe", "dataset", "model", "augment", "optimizer")


def markdown(points: list[dict[str, Any]]) -> str:
    """The comparisons as GitHub shows them: medians (and ranges), ratios within a comparison."""
    headings = ["What", "Batch", "Script", "Loop", "reslab", "over script", "over loop"]
    headings += ["us a step over loop", "On"]
    rows = []
    for point in points:
        speeds = [_speed(variant) for variant in point["variants"].values()]
        ratios = [f"{point['ratios'][key]:.2f}" for key in ("reslab/script", "reslab/loop")]
        what = f"`{describe(point)}`"
        cells = [what, str(point["batch_size"]), *speeds, *ratios]
        rows.append([*cells, overhead(point), _machine(point)])
    notes = [
        "- Images per second: the median of the rounds and, in brackets, least and most; over: the "
        "ratio to the script and to the loop. The loop predicts with the network as it was "
        "trained; reslab folds its BatchNorm. What an epoch ends with (validation, checkpoint, "
        "record) is no part of a step."
    ]
    if not all("date" in point for point in points):
        notes.append(
            "- Rows without a date were measured by an older version, in which the loop read the "
            "configuration at every step, the script's workers began anew with every pass, an "
            "epoch's end was part of reslab's steps, and the cost over the loop is the difference "
            "of the medians."
        )
    if any(point.get("files") for point in points):
        notes.append(
            "- Of files, reslab and the loop decode in threads; reslab also writes results and "
            "thumbnails."
        )
    if shares := [
        f"{point['data_share_of_step']:.1%} (`{describe(point)}`)"
        for point in points
        if "data_share_of_step" in point
    ]:
        notes.append(f"- Of a step, the data path alone takes {', '.join(shares)}.")
    on_gpu = {
        point["task"]
        for point in points
        if point.get("device") == "cuda" and "model=resnet18" in point["overrides"]
    }
    for task, text in (("train", "training of ResNet-18"), ("predict", "its inference")):
        if task not in on_gpu:
            notes.append(f"- On a GPU, {text}: not yet measured; `make bench-gpu` measures it.")
    return "\n".join([markdown_table(headings, rows), "", *notes, ""])


def describe(point: dict[str, Any]) -> str:
    """What was measured, in the words in which it was asked for."""
    given = point.get("given", ["bench.files=true"] if point.get("files") else [])
    return " ".join([point["task"], *point["overrides"], *given])


def _speed(variant: dict[str, Any]) -> str:
    low, high = variant["images_per_second_range"]
    return f"{variant['images_per_second']:,.0f} ({low:,.0f} to {high:,.0f})"


def overhead(point: dict[str, Any]) -> str:
    """Microseconds of a step of reslab's over the loop's: the median, and their range."""
    median = f"{point['overhead_us_per_step']:+,.0f}"
    if "overhead_us_per_step_range" not in point:
        return median
    low, high = point["overhead_us_per_step_range"]
    return f"{median} ({low:+,.0f} to {high:+,.0f})"


def _machine(point: dict[str, Any]) -> str:
    """The hardware; of precision, version and day what a record has."""
    precision = point.get("precision", "precision not recorded")
    if point.get("tf32") and precision == "32-true":
        precision += " (TF32)"
    host = [f"in {point['host']}"] if "host" in point else []
    torch = [f"torch {point['versions']['torch']}"] if "versions" in point else []
    day = [point["date"]] if "date" in point else []
    return ", ".join([point["hardware"], *host, precision, *torch, *day])


def file_name(task: str, asked: Sequence[str]) -> str:
    """What a comparison's files are called: what was chosen, single options with their names."""
    parts = [task]
    for override in asked:
        key, _, value = override.partition("=")
        parts.append(value if key in TOLD_BY_OPTION else f"{key.rpartition('.')[2]}-{value}")
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts)


def check_places(output: Path, readme: Path | None) -> None:
    """Finds out before anything is measured whether the figures can be written.

    Raises:
        UserError: The folder cannot be written, or the README has no place for them.
    """
    output.mkdir(parents=True, exist_ok=True)
    if not os.access(output, os.W_OK):
        raise UserError(f"--output {output}: cannot write there")
    if readme:
        around(readme, "bench")


def insert_benchmarks(readme: Path, folder: Path) -> None:
    """Puts every comparison in a folder into the README, where it says `<!-- bench -->`."""
    files = sorted(folder.glob("*.json"), key=lambda path: (path.name.startswith("predict"), path))
    points = [point for file in files for point in json.loads(file.read_text())]
    tables = [file.read_text() for file in sorted(folder.glob("*.md"))]
    missing = (
        "- On a GPU, the minutes of all of Liu & Goh's table: not yet measured; "
        "`make bench-gpu` measures them.\n"
    )
    insert(readme, "bench", markdown(points) + ("".join(tables) or missing))


def write_points(
    points: list[dict[str, Any]], axis: str | None, folder: Path, name: str
) -> list[Path]:
    """Writes `<name>.json` and, where there is an axis, the curve `<name>.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.json"]
    write_atomically(written[0], (json.dumps(points, indent=2) + "\n").encode())
    if axis:
        written.append(folder / f"{name}.png")
        _draw(points, axis, written[1])
    return written


@own_style
def _draw(points: list[dict[str, Any]], axis: str, path: Path) -> None:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    values = [point[axis] for point in points]
    for name, color in COLORS.items():
        rates = [point["variants"][name]["images_per_second"] for point in points]
        ranges = [point["variants"][name]["images_per_second_range"] for point in points]
        axes.plot(values, rates, color=color, marker="o", label=NAMES[name])
        low, high = [r[0] for r in ranges], [r[1] for r in ranges]
        axes.fill_between(values, low, high, color=color, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value:,}" for value in values], minor=False)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel({"batch_size": "Images in a batch", "num_images": "Images"}[axis])
    axes.set_title("Images per second (median and range)", loc="left", fontsize=11)
    plain(axes)
    axes.legend(frameon=False)
    figure.suptitle(f"{points[0]['task']}, on {points[0]['hardware']}", fontsize=10)
    save_figure(figure, path)
