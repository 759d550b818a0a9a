"""Which epoch is the best."""

from reslab.optim import better_is


def is_better(value: float, than: float | None, monitor: str) -> bool:
    """Whether a metric is a strict improvement, which the first one is over None."""
    if than is None:
        return True
    return value < than if better_is(monitor) == "min" else value > than
