"""How the kernels compute: what they may trade for speed, and whether they are compiled."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from reslab.errors import UserError

CXX = "clang++" if sys.platform == "darwin" else "g++"  # where torch.compile looks for it


def configure_kernels(*, exact: bool) -> None:
    """What PyTorch's kernels may trade for speed, in this process from now on.

    Exact means fp32 on a GPU too; matrix products are the head's alone, and always exact.
    """
    torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = not exact
    torch.backends.cuda.matmul.allow_tf32 = False


def compiled(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """A function compiled for inputs of one shape, at its first call.

    On a GPU its kernels are launched all at once, as a CUDA graph, for small batches would wait for
    the launch of each; the graph writes its outputs anew at every call, so copy what is to be kept.
    What was compiled before in this process is compiled again if it is called again.

    Raises:
        UserError: There is no compiler for what torch generates.
    """
    _check_compiler(device)
    torch.compiler.reset()  # else the ninth in a process is not compiled any more
    if device.type != "cuda":
        return torch.compile(function, dynamic=False)
    graph = torch.compile(function, mode="reduce-overhead", dynamic=False)

    def call(*inputs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return graph(*inputs)

    return call


def _check_compiler(device: torch.device) -> None:
    variable, compilers = ("CC", ["gcc", "clang"]) if device.type == "cuda" else ("CXX", [CXX])
    if named := os.environ.get(variable, "").split():
        compilers = named[:1]
    if not any(map(shutil.which, compilers)):
        names = " or ".join(compilers)
        raise UserError(f"torch.compile finds no {names} (${variable} can name another)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise UserError("torch.compile finds no Python.h (of Python's development package)")
