"""What a result may depend on besides its configuration: machine, versions, code."""

import contextlib
import os
import platform
import resource
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from reslab.machine import describe_hardware
from reslab.runs.sources import code_digest

PACKAGES = ("torch", "torchvision", "lightning", "torchmetrics", "numpy", "reslab")


def describe_environment(device: torch.device, precision: str) -> dict[str, Any]:
    """All that must stay the same for a resumed run to be bitwise the uninterrupted one."""
    return {
        "hardware": describe_hardware(device),
        "device": device.type,
        "cores": os.cpu_count(),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "versions": {"python": platform.python_version()} | _package_versions(),
        "code_digest": code_digest(),
    }


def reset_peak_memory(device: torch.device) -> None:
    """Starts the count of `peak_memory_bytes` anew, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.init()  # which nothing may have asked for yet
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory held since `reset_peak_memory`: the accelerator's, or the process'."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    scale = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def git_commit() -> str | None:
    """The repository's commit, with `+` if files differ from it; None outside a repository."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _package_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions
