"""What was measured, in words and as rows of text."""

from typing import Any

from reslab.bench.report import NAMES, describe, overhead

HEADINGS = (
    "Variant",
    "Batch",
    "Images",
    "Images/s",
    "min to max",
    "ms a step",
    "us over loop",
    "MiB",
    "x script",
)


def as_text(points: list[dict[str, Any]]) -> tuple[str, list[tuple[str, ...]], list[str]]:
    """A title, a row for each variant at each point of the axis, and what is to be said besides."""
    rows: list[tuple[str, ...]] = []
    for point in points:
        base = point["variants"]
        for name, variant in base.items():
            low, high = variant["images_per_second_range"]
            over = 1000 * (variant["ms_per_step"] - base["loop"]["ms_per_step"])
            if name == "reslab":
                over = point["overhead_us_per_step"]  # of the same rounds
            ratio = variant["images_per_second"] / base["script"]["images_per_second"]
            rows.append(
                (
                    NAMES[name],
                    str(point["batch_size"]),
                    f"{point['num_images']:,}" if point["num_images"] else "all",
                    f"{variant['images_per_second']:,.0f}",
                    f"{low:,.0f} to {high:,.0f}",
                    f"{variant['ms_per_step']:.2f}",
                    f"{over:+,.0f}",
                    f"{variant['peak_memory_bytes'] / 2**20:,.0f}",
                    f"{ratio:.2f}",
                )
            )
    first = points[0]
    title = describe(first if len(points) == 1 else first | {"given": []})
    overheads = "; ".join(map(overhead, points))
    notes = [f"round by round, a step of reslab's exceeds the loop's by {overheads} us"]
    if first["task"] == "train":
        starts = ", ".join(f"{point['seconds_to_first_step']:.1f} s" for point in points)
        notes.append(f"from the start of reslab's process to the end of its first step: {starts}")
    others = max(one["others_cpu"] for point in points for one in point["variants"].values())
    notes.append(f"what is not measured kept up to {others:.2f} cores busy meanwhile")
    if shares := [p["data_share_of_step"] for p in points if "data_share_of_step" in p]:
        notes.append(f"reslab's data path alone: {', '.join(f'{s:.1%}' for s in shares)} of a step")
    return f"{title}, on {first['hardware']}", rows, notes
