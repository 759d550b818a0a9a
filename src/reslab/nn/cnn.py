"""The plain network that the residual ones are held against."""

from collections.abc import Sequence

from torch import Tensor, nn

from reslab.nn.blocks import Head, settle_layers
from reslab.ranges import check_wholes


class PlainCNN(nn.Module):
    """Stages of 3x3 convolution with bias, BatchNorm, ReLU and 2x2 max pool, and a head.

    Args:
        in_channels: Channels of the images.
        num_classes: Number of classes K.
        name: What people call it; `conf/model` has the published one.
        widths: Channels of each stage; each halves the image.
        dropout: Probability of dropping a feature before the classifier.
        layers_as: Whose layers these are: `keras`, or null for torch's.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        name: str = "cnn",
        widths: Sequence[int],
        dropout: float = 0.0,
        layers_as: str | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        check_wholes("widths", widths, 1)
        self.stages = nn.Sequential()
        channels = in_channels
        for width in widths:
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                    nn.MaxPool2d(2),
                )
            )
            channels = width
        self.head = Head(channels, num_classes, dropout)
        settle_layers(self, layers_as)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W] -> [B, K]`, logits."""
        return self.head(self.stages(x))
