"""Residual networks (He et al. 2016, https://arxiv.org/abs/1512.03385)."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from reslab.nn.blocks import BasicBlock, Head, settle_layers
from reslab.nn.joins import AddJoin, MakeJoin
from reslab.nn.stems import STEMS
from reslab.ranges import check_wholes


class ResNet(nn.Module):
    """A stem, stages of `BasicBlock`s, and a head.

    Args:
        in_channels: Channels of the images.
        num_classes: Number of classes K.
        name: What people call it; `conf/model` has the published ones.
        join: Makes the join of each block; `NoJoin` turns the network plain.
        stem: The layers before the first stage, a key of `STEMS`.
        widths: Channels of each stage; the stem has the first stage's.
        blocks: Blocks in each stage.
        strides: Stride of each stage's first block.
        dropout: Probability of dropping a feature before the classifier.
        project_every_stage: Whether the first join of every stage projects, also where the shapes
            do not ask for it; None, as False, only where they do.
        layers_as: Whose layers these are: `keras`, or null for torch's.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        name: str = "resnet",
        join: MakeJoin = AddJoin,
        stem: str = "conv3x3",
        widths: Sequence[int],
        blocks: Sequence[int],
        strides: Sequence[int],
        dropout: float = 0.0,
        project_every_stage: bool | None = None,
        layers_as: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        if stem not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got {stem}")
        for part, values in (("widths", widths), ("blocks", blocks), ("strides", strides)):
            check_wholes(part, values, 1)
        if not len(widths) == len(blocks) == len(strides):
            raise ValueError(
                f"widths, blocks and strides must have one entry a stage, "
                f"got {len(widths)}, {len(blocks)} and {len(strides)}"
            )
        self.stem = STEMS[stem](in_channels, widths[0])
        self.stages = nn.Sequential()
        first_join = partial(join, project=True) if project_every_stage else join
        channels = widths[0]
        for width, depth, stride in zip(widths, blocks, strides, strict=True):
            stage = nn.Sequential()
            for index in range(depth):
                first = index == 0
                stage.append(
                    BasicBlock(
                        channels, width, stride if first else 1, first_join if first else join
                    )
                )
                channels = width
            self.stages.append(stage)
        self.head = Head(channels, num_classes, dropout)
        settle_layers(self, layers_as)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, K]`, logits."""
        return self.head(self.stages(self.stem(x)))
