"""Joins: how a residual block merges its input with its branch. The ablation swaps this object."""

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MakeJoin = Callable[..., nn.Module]
"""Makes a join from (in_channels, out_channels, stride); its forward takes (x, branch).

Networks that project at every stage also give `project=True` to a stage's first join.
"""


class Join(nn.Module):
    """What merges a block's input with its branch: what it holds is on the skip.

    A `BasicBlock` also takes joins that are other modules; in blocks of a user's own they are known
    by this base.
    """


class AddJoin(Join):
    """`shortcut(x) + branch`, a 1x1 convolution and BatchNorm where the shapes differ.

    He et al. 2016, equations 1 and 2 (option B). To `project`, it has them for equal shapes too.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, project: bool = False
    ) -> None:
        super().__init__()
        if stride == 1 and in_channels == out_channels and not project:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C', H', W'] -> [B, C', H', W']`."""
        return self.shortcut(x) + branch


class PadJoin(Join):
    """`x + branch` without parameters: x is strided, and its missing channels are zero.

    He et al. 2016, section 4.2 (option A). It has nothing to `project` with.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, project: bool = False
    ) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(
                f"a join that pads cannot narrow {in_channels} channels to {out_channels}: "
                f"choose join=add"
            )
        self.stride, self.new_channels = stride, out_channels - in_channels

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C', H', W'] -> [B, C', H', W']`."""
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, self.new_channels)) + branch


class NoJoin(Join):
    """`branch` alone: identity and projection are both removed (a plain network)."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, project: bool = False
    ) -> None:
        super().__init__()

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """`[B, C, H, W], [B, C', H', W'] -> [B, C', H', W']`."""
        return branch
