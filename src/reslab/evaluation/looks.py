"""Pictures below what a network looked at in them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from reslab.evaluation.figures import literal, own_style, save_figure

ABREAST = 6
STRENGTH = 0.6  # of the color where the heat is greatest


def overlaid(image: Tensor, heat: Tensor) -> Tensor:
    """A picture uint8 `[C, S, S]` below its heat `[S, S]` from 0 to 1: uint8 `[3, S, S]`."""
    color = torch.from_numpy(matplotlib.colormaps["inferno"](heat.numpy())[..., :3])
    share = STRENGTH * heat[..., None]
    levels = image.expand(3, -1, -1).permute(1, 2, 0) * (1 - share) + 255 * color * share
    return levels.round().to(torch.uint8).permute(2, 0, 1)


@own_style
def draw_looks(
    images: Sequence[Tensor],
    heats: Sequence[Tensor],
    captions: Sequence[str],
    title: str,
    path: Path,
) -> Path:
    """Each picture, as `overlaid` takes it, and beside it the same below its heat."""
    columns = min(ABREAST, len(images))
    rows = -(-len(images) // columns)
    size = (max(2.1 * columns, 5), 1.35 * rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, image, heat, caption in zip(panels, images, heats, captions, strict=False):
        both = torch.cat([image.expand(3, -1, -1), overlaid(image, heat)], 2)
        axes.imshow(both.permute(1, 2, 0).numpy())
        axes.set_title(literal(caption), loc="left", fontsize=7)
    for axes in panels:
        axes.set_axis_off()
    figure.suptitle(literal(title), fontsize=10)
    return save_figure(figure, path)
