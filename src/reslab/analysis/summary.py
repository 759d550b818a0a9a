"""What a network is made of: layers, shapes, parameters, multiply-accumulates."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Layer:
    """One module as a forward pass of one image met it.

    `output` is its shape without the batch; `activation_bytes` what the output takes in fp32, 0 if
    it is its input changed in place or handed on.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    activation_bytes: int


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def list_layers(network: nn.Module, image_shape: tuple[int, int, int]) -> list[Layer]:
    """The modules that compute, in the order in which one (C, H, W) image meets them.

    Those are the leaf modules, and others with parameters of their own, or whose output none of
    their children made, such as joins. A module that is met again brings no new parameters.
    Convolutions and matrix products have multiply-accumulates; BatchNorm, activations and pooling
    do not count.
    """
    layers: list[Layer] = []
    outputs: dict[int, Tensor] = {}  # by address; held, so that no address is used twice
    met: set[nn.Module] = set()
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        before = 0

        def record(name: str, module: nn.Module, output: Any) -> None:
            nonlocal before
            while isinstance(output, tuple | list):
                output = output[0]
            own = [p for p in module.parameters(recurse=False) if p.requires_grad]
            leaf = not list(module.children())
            address = output.untyped_storage().data_ptr()
            if not leaf and not own and address in outputs:
                return
            flops = counter.get_total_flops() - before
            before += flops
            kind, shape = type(module).__name__, tuple(output.shape[1:])
            parameters = 0 if module in met else sum(p.numel() for p in own)
            met.add(module)
            size = 0 if address in outputs else output[0].numel() * 4
            layers.append(Layer(name, kind, shape, parameters, flops // 2, size))
            outputs[address] = output

        hooks = [
            module.register_forward_hook(lambda m, _, output, name=name: record(name, m, output))
            for name, module in network.named_modules()
        ]
        training = network.training
        network.eval()
        try:
            with torch.no_grad():
                network(torch.zeros(1, *image_shape, device=device))
        finally:
            network.train(training)
            for hook in hooks:
                hook.remove()
    return layers
