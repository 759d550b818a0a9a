"""What is measured: the usual script, a bare loop over our parts, and reslab itself.

Each runs in a process of its own: `python -m reslab.bench.variants TASK VARIANT REQUEST`.
"""

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from reslab.bench.setup import measured_device, prepare
from reslab.bench.stopwatch import Stopwatch
from reslab.config import add_folder, compose
from reslab.errors import UserError
from reslab.machine import describe_hardware
from reslab.runs.environment import describe_environment, reset_peak_memory
from reslab.runs.trainer import precision_of


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
    device = measured_device(cfg)
    cfg.trainer.accelerator = device.type  # Lightning might take another kind
    data = prepare(cfg, request["num_images"], "train" if task == "train" else "test")
    reset_peak_memory(device)
    watch = Stopwatch(request["seconds"], device)
    # The other task's imports would count as this one's start, up to its first step.
    module = import_module(f"reslab.bench.{'training' if task == 'train' else 'prediction'}")
    getattr(module, f"{variant}_of_files" if request["files"] else variant)(cfg, data, watch)
    precision = precision_of(cfg, device)
    measured = asdict(watch.measurement())
    measured["environment"] = describe_environment(device, precision) | {"device": device.type}
    if device.type == "cuda":
        tf32 = {"tf32": torch.backends.cudnn.allow_tf32}
        measured["environment"] |= tf32 | {"host": describe_hardware(torch.device("cpu"))}
    if (task, variant) == ("train", "loop"):
        measured["data_ms_per_step"] = module.data_ms_per_step(data, device)
    return measured


if __name__ == "__main__":
    try:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
    except UserError as error:
        sys.exit(str(error))
