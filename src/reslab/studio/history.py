"""What a search's trials came to, one after another: places of a drawing, in percent of it."""

import math
from collections.abc import Sequence
from typing import Any

from reslab.search.summary import Summary, Trial

MOST_TICKS = 5
LARGEST = 1e100  # which a figure has; of larger ones nothing else would be seen
LEAST_SPAN = 1e-9  # as a share of the values
MARGIN = 0.06


def history(summary: Summary, said: dict[int, str]) -> dict[str, Any]:
    """Where marks, lines and ticks are; nothing where no trial has come to anything.

    Args:
        summary: The search's.
        said: By its number, what is said of a trial.

    Returns:
        `dots`, of which one is the best; `lines` of the best until then; ticks `below`, of the
        trials' numbers, and `beside`, of values. All distances are from the top and the left.
    """
    shown = [one for one in summary.trials if one.has_ended and _can_be_drawn(one)]
    if not shown:
        return {}
    values = [one.value or 0.0 for one in shown]
    low, high = _around(min(values), max(values))
    last = max(one.number for one in summary.trials)

    def left(number: float) -> float:
        return round(2 + 96 * number / last if last else 50, 3)

    def top(value: float) -> float:
        return round(100 * (high - value) / (high - low), 3)

    best, number = summary.best, summary.best and summary.best.number
    order = sorted(shown, key=lambda one: (one is best, one.number))  # so that it is seen
    return {
        "dots": [
            {
                "left": left(one.number),
                "top": top(one.value or 0.0),
                "kind": "best" if one.number == number else one.state,
                "said": said[one.number],
            }
            for one in order
        ],
        "lines": [
            {"from": (left(since), top(before)), "to": (left(until), top(after))}
            for since, before, until, after in _best_so_far(shown, summary.maximizes, last)
        ],
        "below": [
            {"at": left(at), "text": f"{at:.0f}"} for at in ticks(0, last) if at == round(at)
        ],
        "beside": [
            {"at": top(at), "text": as_text(at, summary.monitor, ".4g")} for at in ticks(low, high)
        ],
    }


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from one to another, a few."""
    if low == high:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    step *= next(by for by in (1, 2, 5, 10) if (high - low) / (step * by) <= MOST_TICKS)
    return [at * step for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def as_text(value: float | None, monitor: str, share: str = ".2f") -> str:
    """A metric's value: of an accuracy in percent, as `share` has it."""
    if value is None:
        return ""
    return f"{100 * value:{share}} %" if monitor.endswith("accuracy") else f"{value:.4g}"


def _can_be_drawn(one: Trial) -> bool:
    return one.value is not None and abs(one.value) < LARGEST


def _around(low: float, high: float) -> tuple[float, float]:
    """Somewhat less and more, so that nothing lies at the edge."""
    about = max(abs(low), abs(high), LEAST_SPAN)
    margin = max(MARGIN * (high - low), LEAST_SPAN * about)
    return low - margin, high + margin


def _best_so_far(
    trials: Sequence[Trial], maximizes: bool, last: int
) -> list[tuple[int, float, int, float]]:
    """Lines along the best of those that came to their ends, from a trial to one or to the last."""
    lines: list[tuple[int, float, int, float]] = []
    since, best = 0, None
    for one in sorted(trials, key=lambda one: one.number):
        if one.state != "finished" or one.value is None:
            continue
        if best is not None and (one.value <= best if maximizes else one.value >= best):
            continue
        if best is not None:
            lines += [(since, best, one.number, best), (one.number, best, one.number, one.value)]
        since, best = one.number, one.value
    return lines if best is None else [*lines, (since, best, last, best)]
