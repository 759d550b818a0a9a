"""A comparison as a table, as JSON and as a curve."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reslab.console import print_table
from reslab.evaluation.figures import plain, save_figure
from reslab.evaluation.palette import BLUE, ORANGE
from reslab.files import write_atomically
from reslab.markdown import insert, markdown_table

HEADINGS = (
    "Variant",
    "Batch",
    "Images/s",
    "min to max",
    "ms a step",
    "us over loop",
    "MiB",
    "x script",
)
NAMES = {"script": "usual script", "loop": "bare loop", "reslab": "reslab"}
COLORS = {"script": "#666666", "loop": BLUE, "reslab": ORANGE}


def print_points(points: list[dict[str, Any]]) -> None:
    """A line for each variant at each point of the axis."""
    rows = []
    for point in points:
        base = point["variants"]
        for name, variant in base.items():
            low, high = variant["images_per_second_range"]
            over = 1000 * (variant["ms_per_step"] - base["loop"]["ms_per_step"])
            ratio = variant["images_per_second"] / base["script"]["images_per_second"]
            rows.append(
                (
                    NAMES[name],
                    str(point["batch_size"]),
                    f"{variant['images_per_second']:,.0f}",
                    f"{low:,.0f} to {high:,.0f}",
                    f"{variant['ms_per_step']:.2f}",
                    f"{over:+,.0f}",
                    f"{variant['peak_memory_bytes'] / 2**20:,.0f}",
                    f"{ratio:.2f}",
                )
            )
    first = points[0]
    title = f"{first['task']} {' '.join(first['overrides'])}".strip()
    print_table(f"{title}, on {first['hardware']}", HEADINGS, rows)
    if shares := [p["data_share_of_step"] for p in points if "data_share_of_step" in p]:
        print(f"reslab's data path alone: {', '.join(f'{s:.1%}' for s in shares)} of a step")


def markdown(points: list[dict[str, Any]]) -> str:
    """The comparisons as GitHub shows them; medians over rounds, ratios within one comparison."""
    headings = ["What", "Batch", "Script", "Loop", "reslab", "over script", "over loop"]
    machines = {_machine(point) for point in points}
    several = len(machines) > 1
    on = "" if several else f" on {machines.pop()}"
    if several:
        headings.append("On")
    rows = []
    for point in points:
        speeds = [f"{v['images_per_second']:,.0f}" for v in point["variants"].values()]
        ratios = [f"{point['ratios'][key]:.2f}" for key in ("reslab/script", "reslab/loop")]
        files = ["bench.files=true"] if point.get("files") else []
        what = " ".join([point["task"], *point["overrides"], *files])
        machine = [_machine(point)] if several else []
        rows.append([f"`{what}`", str(point["batch_size"]), *speeds, *ratios, *machine])
    notes = [f"- Images per second{on}; over: the ratio to the script and to the loop."]
    if any(point.get("files") for point in points):
        notes.append("- Of files, reslab also writes results and thumbnails; the others do not.")
    if all("cores" in point["hardware"] for point in points):
        notes.append(
            "- On a GPU, training of ResNet-18 at batches of 64 to 1,024, its inference, and the "
            "minutes of all of Liu & Goh's table: not yet measured; `make bench-gpu` measures them."
        )
    return "\n".join([markdown_table(headings, rows), "", *notes, ""])


def _machine(point: dict[str, Any]) -> str:
    """The hardware, and the precision where a record names it."""
    return ", ".join(filter(None, [point["hardware"], point.get("precision")]))


def file_name(task: str, overrides: Sequence[str]) -> str:
    """What a comparison's files are called: what was chosen, single options with their names."""
    parts = [task]
    for override in overrides:
        key, _, value = override.partition("=")
        parts.append(f"{key.rpartition('.')[2]}-{value}" if "." in key else value)
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-") for part in parts)


def insert_benchmarks(readme: Path, folder: Path) -> None:
    """Puts every comparison in a folder into the README, where it says `<!-- bench -->`."""
    files = sorted(folder.glob("*.json"), key=lambda path: (path.name.startswith("predict"), path))
    points = [point for file in files for point in json.loads(file.read_text())]
    insert(readme, "bench", markdown(points))


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
