"""Stems: the layers before the first stage."""

from collections.abc import Callable

from torch import nn

from reslab.nn.whitening import Whitening


def _conv_stem(kernel_size: int, stride: int, pool: bool) -> Callable[[int, int], nn.Sequential]:
    def stem(in_channels: int, out_channels: int) -> nn.Sequential:
        layers = [
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        ]
        return nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, 1)] if pool else []))

    return stem


def _whitened_stem(kernel_size: int, stride: int) -> Callable[[int, int], nn.Sequential]:
    """What is trained are the weights of a convolution in whitened coordinates."""

    def stem(in_channels: int, out_channels: int) -> nn.Sequential:
        whitening = Whitening(in_channels, kernel_size, stride)
        return nn.Sequential(
            whitening,
            nn.Conv2d(whitening.out_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    return stem


STEMS: dict[str, Callable[[int, int], nn.Sequential]] = {
    "conv3x3": _conv_stem(3, stride=1, pool=False),
    "conv3x3_stride2": _conv_stem(3, stride=2, pool=False),
    "whitened_conv3x3": _whitened_stem(3, stride=1),
    "whitened_conv3x3_stride2": _whitened_stem(3, stride=2),
    "conv7x7_pool": _conv_stem(7, stride=2, pool=True),
}
"""Each makes a stem from (in_channels, out_channels): `[B, C, H, W] -> [B, C', H / s, W / s]`."""
