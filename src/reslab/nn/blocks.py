"""The parts that every network here is made of."""

import torch
from torch import Tensor, nn

from reslab.nn.joins import Join, MakeJoin
from reslab.ranges import check_number


class BasicBlock(nn.Module):
    """`relu(join(x, branch(x)))` with a branch of two 3x3 convolutions (He et al. 2016, fig. 2)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, join: MakeJoin) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.join = join(in_channels, out_channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, C', H / stride, W / stride]`."""
        return self.relu(self.join(x, self.branch(x)))


def skip_parameters(network: nn.Module) -> set[str]:
    """Names of the parameters that are on a skip: those of joins, wherever blocks hold them."""
    joins = {
        block.join if isinstance(block, BasicBlock) else block
        for block in network.modules()
        if isinstance(block, BasicBlock | Join)
    }
    held = {id(parameter) for join in joins for parameter in join.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in held}


class Head(nn.Module):
    """Global average pooling, dropout and a linear classifier, in fp32 also under autocast.

    A bf16 classifier rounds logits to exact ties: the ranking must not depend on their order.
    """

    def __init__(self, in_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        check_number("dropout", dropout, 0, 1, without_high=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(in_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, K]`, in fp32."""
        with torch.autocast(x.device.type, enabled=False):
            return self.classifier(self.dropout(x.float().mean((2, 3))))


LAYERS_AS = ("keras",)


def settle_layers(network: nn.Module, layers_as: str | None) -> None:
    """Draws weights, and sets what layers leave to a library.

    Args:
        network: The network; `Conv2d`, `Linear` and `BatchNorm2d` are known.
        layers_as: None: convolutions as He et al. 2015 (normal, fan-out), all else torch's way.
            `keras`: as a Keras program has them that says nothing of it: weights as Glorot & Bengio
            2010 (uniform), biases 0, BatchNorm with a momentum of 0.99 (torch counts it from the
            other end) and an epsilon of 1e-3.

    Raises:
        ValueError: There is no such way.
    """
    if layers_as not in (None, *LAYERS_AS):
        raise ValueError(f"layers_as must be {' or '.join(LAYERS_AS)} or null, got {layers_as}")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and layers_as == "keras":
            module.momentum, module.eps = 0.01, 1e-3
        if isinstance(module, nn.Conv2d | nn.Linear) and layers_as == "keras":
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
