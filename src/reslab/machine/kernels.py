"""How the kernels compute: what they may trade for speed, and whether they are compiled."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import UserError

CXX = "clang++" if sys.platform == "darwin" else "g++"  # where torch.compile looks for it
SOUND_CHANNELS = 8


def configure_kernels(*, exact: bool) -> None:
    """What PyTorch's kernels may trade for speed, in this process from now on.

    Exact means fp32 on a GPU too; matrix products are the head's alone, and always exact.
    """
    torch.backends.cudnn.allow_tf32 = not exact
    torch.backends.cudnn.benchmark = not exact
    torch.backends.cuda.matmul.allow_tf32 = False


def lay_out(network: nn.Module) -> nn.Module:
    """The network with its weights channels last, which is fast, where that is sound.

    PyTorch 2.15 corrupts its memory, channels last, in the backward pass of a 1x1 convolution with
    a stride and fewer than 8 input channels, on processors without AVX-512 (in fp32, batch 64,
    16x16 pixels, the process dies). Such a layer has and is given NCHW, wherever it runs.
    """
    network.to(memory_format=torch.channels_last)
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d) or set(layer.kernel_size) != {1}:
            continue
        if max(layer.stride) > 1 and layer.in_channels < SOUND_CHANNELS:
            layer.to(memory_format=torch.contiguous_format)
            layer.register_forward_pre_hook(_as_nchw)
    return network


def _as_nchw(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(images.contiguous() for images in inputs)


def compiled(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """A function compiled for inputs of one shape, at its first call.

    On a GPU its kernels are launched all at once, as a CUDA graph, for small batches would wait for
    the launch of each; the graph writes its outputs anew at every call, so copy what is to be kept.
    What was compiled before in this process is compiled again if it is called again.

    Raises:
        UserError: There is no compiler for what torch generates.
    """
    check_compiler(device)
    torch.compiler.reset()  # else the ninth in a process is not compiled any more
    if device.type != "cuda":
        return torch.compile(function, dynamic=False)
    graph = torch.compile(function, mode="reduce-overhead", dynamic=False)

    def call(*inputs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return graph(*inputs)

    return call


def check_compiler(device: torch.device) -> None:
    """Looks for what compiles the code that torch generates for a device.

    Raises:
        UserError: It is not there.
    """
    variable, compilers = ("CC", ["gcc", "clang"]) if device.type == "cuda" else ("CXX", [CXX])
    if named := os.environ.get(variable, "").split():
        compilers = named[:1]
    if not any(map(shutil.which, compilers)):
        names = " or ".join(compilers)
        raise UserError(f"torch.compile finds no {names} (${variable} can name another)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise UserError("torch.compile finds no Python.h (of Python's development package)")
