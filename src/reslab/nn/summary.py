"""What a network is made of: layers, shapes, parameters, multiply-accumulates."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Layer:
    """One leaf module as a forward pass met it; `output` is the shape without the batch."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def list_layers(network: nn.Module, image_shape: tuple[int, int, int]) -> list[Layer]:
    """The leaf modules in the order in which a forward pass of one (C, H, W) image meets them.

    Convolutions and matrix products have multiply-accumulates; BatchNorm, activations and pooling
    do not count.
    """
    layers: list[Layer] = []
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter:
        before = 0

        def record(name: str, module: nn.Module, output: Tensor) -> None:
            nonlocal before
            flops = counter.get_total_flops() - before
            before += flops
            parameters = count_parameters(module)
            shape = tuple(output.shape[1:])
            layers.append(Layer(name, type(module).__name__, shape, parameters, flops // 2))

        hooks = [
            module.register_forward_hook(lambda m, _, output, name=name: record(name, m, output))
            for name, module in network.named_modules()
            if not list(module.children())
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
