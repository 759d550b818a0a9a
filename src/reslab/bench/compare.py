"""The variants side by side: processes alternated over rounds, medians and ranges."""

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from reslab.config import compose, own_folders, parse_overrides, suggest
from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.check import check
from reslab.runs.environment import git_commit

OPTIONS = {"seconds": 10.0, "rounds": 3, "batch_size": None, "num_images": None, "files": False}
# What all variants can do alike.
MEASURED = {
    "precision": ("auto", "32-true", "bf16-mixed"),
    "accelerator": ("auto", "cpu", "gpu", "cuda"),
    "devices": (1, "1"),
}
AXES = ("batch_size", "num_images")
VARIANTS = ("script", "loop", "reslab")


@dataclass(frozen=True)
class Request:
    """What to measure: `overrides` of a run, over the values of one axis if there is one.

    `files` is whether to predict PNG files, not images in memory.
    """

    overrides: tuple[str, ...]
    seconds: float
    rounds: int
    batch_size: int | None
    num_images: int | None
    files: bool
    axis: str | None
    values: tuple[int, ...]

    def given(self, value: int | None = None) -> list[str]:
        """The options that say what is measured; of the axis one value, or all of them."""
        chosen = {name: getattr(self, name) for name in AXES}
        if self.axis:
            chosen[self.axis] = value or ",".join(map(str, self.values))
        texts = [f"bench.{name}={asked}" for name, asked in chosen.items() if asked is not None]
        return texts + ["bench.files=true"] * self.files


def parse_request(overrides: Sequence[str]) -> Request:
    """Tells the options of the measurement (`bench.rounds=5`) from those of the run.

    Raises:
        UserError: An option is unknown or wrong, or there are two axes.
    """
    options: dict[str, Any] = dict(OPTIONS)
    asked: list[str] = []
    axis, axis_values = None, ()
    for key, text, values in parse_overrides(overrides):
        group, _, name = key.partition(".")
        if group != "bench":
            asked.append(text)
            continue
        if name not in OPTIONS:
            full_names = [f"bench.{option}" for option in OPTIONS]
            raise UserError(f"there is no option {key}{suggest(key, full_names)}")
        if name == "files":
            if values not in ([True], [False]):
                raise UserError(f"{text}: must be true or false")
            options[name] = values[0]
            continue
        kinds = (int,) if name != "seconds" else (int, float)
        if not all(isinstance(v, kinds) and not isinstance(v, bool) and v > 0 for v in values):
            raise UserError(f"{text}: must be a positive number")
        if len(values) > 1:
            if axis is not None or name not in AXES:
                raise UserError(f"{text}: one of {' and '.join(AXES)} can have several values")
            axis, axis_values = name, tuple(sorted(set(values)))
        options[name] = values[0]
    cfg = compose(asked)  # an error in them is the user's, here and now
    for key, measured in MEASURED.items():
        if cfg.trainer[key] not in measured:
            known = ", ".join(map(str, measured))
            raise UserError(f"trainer.{key}={cfg.trainer[key]} is not measured, only {known}")
    check(cfg)
    return Request(tuple(asked), **options, axis=axis, values=axis_values)


def compare(task: str, request: Request, reporter: Reporter = SILENT) -> Iterator[dict[str, Any]]:
    """Measures every variant at every value of the axis, one value after the other.

    Args:
        task: `train` or `predict`.
        request: What to measure.
        reporter: Is told what a variant warns of, and how many runs are done.

    Yields:
        One object a value, see `summarize`, with what was asked.

    Raises:
        UserError: A variant failed; the message has its own words.
    """
    if request.files and task == "train":
        raise UserError("bench.files is for predict: training reads its data set")
    values = request.values or (None,)
    configured = compose(request.overrides).dataset.batch_size
    with reporter.progress(len(values) * len(VARIANTS) * request.rounds, "run") as done:
        for value in values:
            asked = {name: getattr(request, name) for name in AXES}
            if request.axis:
                asked[request.axis] = value
            batch_size = asked["batch_size"] or configured
            content = {
                "overrides": [*request.overrides, f"dataset.batch_size={batch_size}"],
                "seconds": request.seconds,
                "num_images": asked["num_images"],
                "files": request.files,
                "folders": own_folders(),
            }
            measured: dict[str, list[dict[str, Any]]] = {variant: [] for variant in VARIANTS}
            for number in range(request.rounds):
                for variant in order_of(number):
                    measured[variant].append(_run(task, variant, content, reporter))
                    done()
            point = {
                "task": task,
                "files": request.files,
                **asked,
                "batch_size": batch_size,
                "rounds": request.rounds,
                "seconds": request.seconds,
                "git": git_commit(),
                "date": date.today().isoformat(),
                **summarize(measured),
            }
            yield point | {"overrides": list(request.overrides), "given": request.given(value)}


def order_of(round_number: int) -> tuple[str, ...]:
    """The variants' order in a round, so that none always comes first or after the same one."""
    orders = list(itertools.permutations(VARIANTS))
    orders = [*orders[::2], *orders[1::2]]  # the first three begin with each variant once
    return orders[round_number % len(orders)]


def _run(task: str, variant: str, content: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    command = [sys.executable, "-m", "reslab.bench.variants", task, variant, json.dumps(content)]
    with tempfile.TemporaryDirectory() as folder:  # pictures go here, and when all is over, away
        own = os.environ | ({"TMPDIR": folder} if content["files"] else {})
        done = subprocess.run(command, capture_output=True, text=True, env=own)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        hint = ": is there enough memory?" if name == "SIGKILL" else ""
        raise UserError(f"bench {task}, variant {variant} was ended by {name}{hint}")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"bench {task}, variant {variant} failed: {lines[-1]}")
    for line in done.stderr.splitlines():
        if line.startswith("warning: "):
            reporter.warn(f"{variant}: {line.removeprefix('warning: ')}")
    return json.loads(done.stdout.splitlines()[-1])


def summarize(measured: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over rounds with their range, ratios, and reslab's cost over the bare loop.

    The cost is the median of the rounds' own: a round's variants run one right after the other.

    Of training also which share of reslab's step its data path takes where nothing else runs.

    Args:
        measured: For each variant what each round measured.
    """
    variants = {}
    for name, rounds in measured.items():
        times = sorted(one["ms_per_step"] for one in rounds)
        rates = [one["images_per_second"] for one in rounds]
        variants[name] = {
            "images_per_second": statistics.median(rates),
            "images_per_second_range": [min(rates), max(rates)],
            "ms_per_step": statistics.median(times),
            "ms_per_step_range": [times[0], times[-1]],
            "peak_memory_bytes": max(one["peak_memory_bytes"] for one in rounds),
            "steps": sum(one["steps"] for one in rounds),
            "others_cpu": max(one["others_cpu"] for one in rounds),
        }
    speed = {name: variant["images_per_second"] for name, variant in variants.items()}
    time = {name: variant["ms_per_step"] for name, variant in variants.items()}
    pairs = zip(measured["reslab"], measured["loop"], strict=True)
    over = [1000 * (ours["ms_per_step"] - bare["ms_per_step"]) for ours, bare in pairs]
    data = [one["data_ms_per_step"] for one in measured["loop"] if "data_ms_per_step" in one]
    starts = [one["seconds_to_first_step"] for one in measured["reslab"]]
    share = {"data_share_of_step": statistics.median(data) / time["reslab"]} if data else {}
    return {
        **measured["reslab"][0]["environment"],
        "seconds_to_first_step": statistics.median(starts),
        **share,
        "variants": variants,
        "ratios": {
            "reslab/script": speed["reslab"] / speed["script"],
            "reslab/loop": speed["reslab"] / speed["loop"],
        },
        "overhead_us_per_step": statistics.median(over),
        "overhead_us_per_step_range": [min(over), max(over)],
    }
