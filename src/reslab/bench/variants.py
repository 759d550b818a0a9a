"""What is measured: the usual script, a bare loop over our parts, and reslab itself.

Each runs in a process of its own: `python -m reslab.bench.variants TASK VARIANT REQUEST`.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from reslab.bench import prediction, training
from reslab.bench.setup import device_of, prepare, uses_bf16
from reslab.bench.stopwatch import Stopwatch
from reslab.config import add_folder, compose
from reslab.data import ImageData
from reslab.runs.environment import describe_environment, reset_peak_memory

VARIANTS: dict[str, dict[str, Callable[[DictConfig, ImageData, Stopwatch], None]]] = {
    "train": {
        "script": training.script,
        "loop": training.loop,
        "reslab": training.reslab,
    },
    "predict files": {
        "script": prediction.script_of_files,
        "loop": prediction.loop_of_files,
        "reslab": prediction.reslab_of_files,
    },
    "predict": {
        "script": prediction.script,
        "loop": prediction.loop,
        "reslab": prediction.reslab,
    },
}


def measure(task: str, variant: str, request: dict[str, Any]) -> dict[str, Any]:
    """Runs one variant in this process; gives what was measured and in which environment.

    Of the loop that trains it also says what the data path alone takes.

    Args:
        task: `train` or `predict`.
        variant: `script`, `loop` or `reslab`.
        request: `overrides` of the configuration, `seconds` to measure, `num_images` or None,
            `files`, and the user's own `folders` with configuration groups.
    """
    for folder in request["folders"]:
        add_folder(Path(folder))
    cfg = compose(request["overrides"])
    device = device_of(cfg)
    data = prepare(cfg, request["num_images"])
    reset_peak_memory(device)
    watch = Stopwatch(request["seconds"], device)
    VARIANTS[f"{task} files" if request["files"] else task][variant](cfg, data, watch)
    precision = "bf16-mixed" if uses_bf16(cfg, device) else "32-true"
    measured = asdict(watch.measurement())
    measured["environment"] = describe_environment(device, precision)
    if (task, variant) == ("train", "loop"):
        measured["data_ms_per_step"] = training.data_ms_per_step(data, device)
    return measured


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
