"""A network's picture, drawn from the module itself: its layers, and what skips them."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from torch import nn

from reslab.analysis.graph import Step, trace
from reslab.analysis.summary import Layer, count_parameters
from reslab.errors import UserError
from reslab.evaluation.figures import own_style, save_figure
from reslab.evaluation.palette import BLUE, GREEN, ORANGE
from reslab.nn.blocks import Head

WIDTH, HEIGHT = 2.2, 0.42  # of a layer's box, in inches
COLUMN, ROW = 3.7, 0.72  # from one to the next
GREY = "#666666"
TIMES = "\N{MULTIPLICATION SIGN}"
FORMATS = (".png", ".pdf", ".svg")

Place = tuple[float, float]


@own_style
def draw_network(network: nn.Module, layers: list[Layer], path: Path) -> Path:
    """Draws a network's layers from top to bottom, a column for each size of the image.

    Skips are solid where they hand the input on as it is, dashed where its shape is changed.

    Args:
        network: The network.
        layers: What `list_layers` says of it.
        path: The PNG, PDF or SVG file to write.

    Raises:
        UserError: The network cannot be traced, or the file's name has another ending.
    """
    if path.suffix and path.suffix.lower() not in FORMATS:
        raise UserError(f"--draw {path}: the name must end in {', '.join(FORMATS)}")
    try:
        steps, skips = trace(network)
    except ValueError as error:
        raise UserError(f"--draw: {error}") from error
    shapes = _output_shapes(steps, {layer.name: layer.output for layer in layers})
    columns = _columns(steps, shapes)
    places = {
        index: (column * COLUMN, -row * ROW)
        for column, members in enumerate(columns)
        for row, index in enumerate(members)
    }
    tallest = max(map(len, columns))
    figure = Figure(figsize=(len(columns) * COLUMN + 0.6, tallest * ROW + 1.4))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-COLUMN / 2 + 0.4, (len(columns) - 0.5) * COLUMN + 0.4)
    axes.set_ylim(-tallest * ROW - 0.1, 1.3)
    for index in range(len(steps) - 1):
        _draw_flow(axes, places[index], places[index + 1])
    for skip in skips:
        changed = skip.start < 0 or shapes[skip.start] != shapes[skip.end]
        start = places.get(skip.start, (0.0, ROW))  # the image is above the first layer
        _draw_skip(axes, start, places[skip.end], " + ".join(map(_label, skip.modules)), changed)
    for index, step in enumerate(steps):
        _draw_step(axes, places[index], step)
    for members in columns:
        x, _ = places[members[0]]
        shape = TIMES.join(map(str, shapes[members[0]]))
        axes.text(x - WIDTH / 2, HEIGHT / 2 + 0.1, shape, fontsize=8, color=GREY)
    name = getattr(network, "name", type(network).__name__)
    title = f"{name}: {count_parameters(network):,} parameters, {len(skips)} skips"
    axes.text(-WIDTH / 2, 1.0, title, fontsize=13)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_figure(figure, path, dpi=120)


def _output_shapes(steps: list[Step], known: dict[str, tuple[int, ...]]) -> list[tuple[int, ...]]:
    """A sum has its input's shape; a head the shape of its last layer."""
    shapes: list[tuple[int, ...]] = []
    for step in steps:
        inner = [shape for name, shape in known.items() if name.startswith(f"{step.name}.")]
        if not step.module and not shapes:
            raise UserError("--draw: a network that begins with a sum has no picture")
        shape = known.get(step.name) if step.module else shapes[-1]
        shapes.append(shape or inner[-1])
    return shapes


def _columns(steps: list[Step], shapes: list[tuple[int, ...]]) -> list[list[int]]:
    columns: list[list[int]] = [[]]
    for index in range(len(steps)):
        previous = shapes[columns[-1][-1]] if columns[-1] else shapes[index]
        if len(shapes[index]) == 3 and shapes[index][1:] != previous[1:]:
            columns.append([])
        columns[-1].append(index)
    return columns


def _label(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        size = TIMES.join(map(str, module.kernel_size))
        stride = f", /{module.stride[0]}" if module.stride[0] != 1 else ""
        return f"{size} conv, {module.out_channels}{stride}"
    if isinstance(module, Head):
        return f"average pool, {module.classifier.out_features} logits"
    if isinstance(module, nn.MaxPool2d):
        return f"{module.kernel_size}{TIMES}{module.kernel_size} max pool, /{module.stride}"
    if isinstance(module, nn.Linear):
        return f"linear, {module.out_features}"
    if isinstance(module, nn.Sequential):
        parts = [part for part in module if not isinstance(part, nn.BatchNorm2d)]
        return " + ".join(map(_label, parts))
    return type(module).__name__


def _draw_step(axes: Axes, place: Place, step: Step) -> None:
    x, y = place
    if step.module is None:
        axes.add_patch(Circle(place, 0.14, facecolor="white", edgecolor=ORANGE, lw=1.5, zorder=3))
        axes.text(x, y - 0.01, "+", ha="center", va="center", color=ORANGE, zorder=4)
        return
    color = BLUE if isinstance(step.module, nn.Conv2d) else GREY
    color = GREEN if isinstance(step.module, Head | nn.Linear) else color
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor="white",
        edgecolor=color,
        lw=1.5,
        zorder=3,
    )
    axes.add_patch(box)
    axes.text(x, y, _label(step.module), ha="center", va="center", fontsize=9, zorder=4)


def _draw_flow(axes: Axes, start: Place, end: Place) -> None:
    """Straight down, or from a column's foot over to the head of the next."""
    corners = [start, end]
    if start[0] != end[0]:
        between, foot, head = end[0] - COLUMN / 2, start[1] - 0.5 * ROW, end[1] + 0.9 * ROW
        turns = [(start[0], foot), (between, foot), (between, head), (end[0], head)]
        corners = [start, *turns, end]
    axes.plot(*zip(*corners, strict=True), color=GREY, lw=1.2, zorder=1)


def _draw_skip(axes: Axes, start: Place, end: Place, label: str, changed: bool) -> None:
    """Leaves the flow below `start`, or at the head of its column, and joins it at `end`."""
    branch = (start[1] if start[0] == end[0] else ROW) - 0.5 * ROW
    aside = end[0] + WIDTH / 2 + 0.22
    corners = [(end[0], branch), (aside, branch), (aside, end[1]), (end[0] + 0.14, end[1])]
    line = "--" if changed else "-"
    axes.plot(*zip(*corners, strict=True), color=ORANGE, lw=1.4, ls=line, zorder=2)
    axes.plot(end[0] + 0.2, end[1], marker="<", ms=5, color=ORANGE, zorder=3)
    axes.plot(end[0], branch, marker="o", ms=4, color=ORANGE, zorder=3)
    y = (branch + end[1]) / 2
    axes.text(aside + 0.06, y, label, color=ORANGE, fontsize=8, rotation=270, va="center")
