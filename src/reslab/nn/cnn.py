"""The plain network that the residual ones are held against."""

from torch import nn

from reslab.nn.blocks import Head, initialize


def baseline_cnn(in_channels: int, num_classes: int, *, dropout: float = 0.0) -> nn.Sequential:
    """Liu & Goh's baseline CNN: four times 3x3 convolution, BatchNorm, ReLU, 2x2 max pool.

    32, 64, 128 and 256 channels, convolutions with bias; images of at least 16x16 pixels.
    `[B, C, H, W] -> [B, K]`.
    """
    network = nn.Sequential()
    channels = in_channels
    for width in (32, 64, 128, 256):
        network.append(
            nn.Sequential(
                nn.Conv2d(channels, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2),
            )
        )
        channels = width
    network.append(Head(channels, num_classes, dropout))
    initialize(network)
    return network
