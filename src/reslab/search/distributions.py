"""Bounds in Optuna's words."""

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from reslab.config import Bounds, Choices


def distribution_of(bounds: Bounds) -> BaseDistribution:
    """From what a key's values are drawn."""
    if isinstance(bounds, Choices):
        return CategoricalDistribution(bounds.texts)
    if isinstance(bounds.low, int):
        low, high, step = int(bounds.low), int(bounds.high), int(bounds.step or 1)
        return IntDistribution(low, high, log=bounds.log, step=step)
    return FloatDistribution(bounds.low, bounds.high, log=bounds.log, step=bounds.step)
