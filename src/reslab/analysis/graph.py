"""The path of an image through a network, and what goes past it: traced, not declared."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from reslab.nn.blocks import Head

SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
PASSES = (nn.BatchNorm2d, nn.ReLU, nn.Identity, nn.Dropout)


@dataclass(frozen=True)
class Step:
    """A module on an image's main path, or a sum; `module` is None for a sum.

    Other functions, such as a product or a concatenation, are no steps.
    """

    name: str
    module: nn.Module | None


@dataclass(frozen=True)
class Skip:
    """What goes past steps, from the output of step `start` (-1: the image) to the sum `end`.

    `modules` are what it goes through on its way.
    """

    start: int
    end: int
    modules: list[nn.Module]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Head) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> tuple[list[Step], list[Skip]]:
    """The longest path from image to logits, and every edge that joins it from aside.

    Batch normalization, activations and dropout are no steps of their own.

    Raises:
        ValueError: The network's forward cannot be traced.
    """
    try:
        graph = _Tracer().trace(network)
    except Exception as error:
        raise ValueError(f"this network's forward cannot be traced: {error}") from error
    modules = dict(network.named_modules())
    depth: dict[fx.Node, int] = {}
    for node in graph.nodes:
        inputs = node.all_input_nodes
        depth[node] = max((depth[i] for i in inputs), default=0) + _is_step(node, modules)
    node = next(n for n in graph.nodes if n.op == "output").all_input_nodes[0]
    path = [node]
    while node.all_input_nodes:
        node = max(node.all_input_nodes, key=lambda n: depth[n])
        path.append(node)
    path.reverse()
    steps: list[Step] = []
    at: dict[fx.Node, int] = {}  # the step whose output, normalized and so on, a node is
    skips: list[Skip] = []
    for node in path:
        if _is_step(node, modules):
            module = modules[str(node.target)] if node.op == "call_module" else None
            steps.append(Step(str(node.target) if module else node.name, module))
        at[node] = len(steps) - 1
        if _is_sum(node):
            aside = min(node.all_input_nodes, key=lambda n: depth[n])
            skips.append(_follow(aside, len(steps) - 1, at, modules))
    return steps, skips


def _follow(node: fx.Node, end: int, at: dict[fx.Node, int], modules: dict[str, Any]) -> Skip:
    through: list[nn.Module] = []
    while node not in at and node.all_input_nodes:
        if node.op == "call_module" and not isinstance(modules[str(node.target)], PASSES):
            through.insert(0, modules[str(node.target)])
        node = node.all_input_nodes[0]
    return Skip(at.get(node, -1), end, through)


def _is_sum(node: fx.Node) -> bool:
    """Of two tensors that both come from the image."""
    return node.target in SUMS and sum(i.op != "get_attr" for i in node.all_input_nodes) == 2


def _is_step(node: fx.Node, modules: dict[str, Any]) -> bool:
    if node.op == "call_module":
        return not isinstance(modules[str(node.target)], PASSES)
    return _is_sum(node)
