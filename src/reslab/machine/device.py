"""Where a network computes: which device, what it is, and whether it multiplies bf16."""

import os
import platform
import re
from pathlib import Path

import torch

from reslab.errors import UserError


def choose_device(name: str, asked: str) -> torch.device:
    """A device of this machine.

    Args:
        name: `auto` is the best there is: CUDA, else Apple's MPS, else the CPU; `gpu` is one of the
            first two; or `cuda`, `cuda:1`, `mps`, `cpu`.
        asked: Where that was asked for, as the user typed it.

    Raises:
        UserError: This machine has no such device.
    """
    if name in ("auto", "gpu"):
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        kinds["cpu"] = name == "auto"
        name = next((kind for kind, there in kinds.items() if there), name)
    try:
        if not re.fullmatch(r"cuda(:\d+)?|mps|cpu", name):
            raise ValueError(name)
        device = torch.device(name)
        torch.empty(0, device=device)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UserError(f"{asked}: not on this machine; try auto or cpu") from error
    return device


def supports_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bf16 natively, not by emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def describe_hardware(device: torch.device) -> str:
    """The accelerator's name, or the processor's with the number of its cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
