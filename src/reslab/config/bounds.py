"""What a search may choose from: Hydra's grammar of sweeps, with `log`, `uniform` and `int`."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hydra._internal.grammar.grammar_functions import cast_int
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from reslab.config.messages import NOT_READ
from reslab.errors import UserError

WAYS = "log(1e-4,1e-1), uniform(0,0.5), int(1,8), range(8,65,8) or values separated by commas"


@dataclass(frozen=True)
class Numbers:
    """Numbers from `low` to `high`, both included; whole ones where these are.

    Attributes:
        low: The lowest.
        high: The highest.
        log: Whether each factor between two of them is as likely, and not each difference.
        step: How far they lie apart, None for any distance.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def count(self) -> int | None:
        """How many there are, None where that is no number."""
        step = 1 if self.step is None and isinstance(self.low, int) else self.step
        return None if step is None else round((self.high - self.low) / step) + 1

    def text(self, value: float) -> str:
        """One of them as an override has it: the same number has the same text, to the bit."""
        if isinstance(self.low, int):
            return str(int(value))
        return repr(float(f"{value:.12g}") if self.step else float(value))

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last."""
        return self.text(self.low), self.text(self.high)


@dataclass(frozen=True)
class Choices:
    """Some values, each as an override has it."""

    texts: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.texts)

    def text(self, value: str) -> str:
        """One of them as an override has it."""
        return value

    @property
    def ends(self) -> tuple[str, str]:
        """The first and the last."""
        return self.texts[0], self.texts[-1]


Bounds = Numbers | Choices


def parse_bounds(overrides: Sequence[str]) -> tuple[list[str], dict[str, Bounds]]:
    """The overrides that have one value, and by its key what each of the others may be.

    Raises:
        UserError: An override is not one, its bounds are none, or a key is there twice.
    """
    parser = OverridesParser(_functions())
    fixed: list[str] = []
    bounds: dict[str, Bounds] = {}
    seen: set[str] = set()
    for text in overrides:
        try:
            one = parser.parse_override(text)
        except (HydraException, ValueError, TypeError) as error:
            found = re.search(r"while evaluating '.*?\)?': (.*)|(Unknown function .*)", str(error))
            why = f"{found[1] or found[2]}; write {WAYS}" if found else NOT_READ
            raise UserError(f"{text}: {why}") from error
        if one.key_or_group in seen:
            raise UserError(f"{text}: {one.key_or_group} is given twice")
        seen.add(one.key_or_group)
        if one.is_sweep_override():
            try:
                bounds[one.get_key_element()] = _bounds(one)
            except ValueError as error:
                raise UserError(f"{text}: {error}") from error
        else:
            fixed.append(text)
    return fixed, bounds


def _functions():  # type: ignore[no-untyped-def]
    """Hydra's, with `log` and `uniform`, and `int` of two numbers, which are bounds here."""
    functions = create_functions()
    own = {"log": _log, "uniform": _uniform, "int": _int}
    for name, function in own.items():
        functions.definitions.pop(name, None)
        functions.register(name, function)
    return functions


def _log(low: int | float, high: int | float) -> IntervalSweep:
    return IntervalSweep(start=float(low), end=float(high), tags={"log"})


def _uniform(low: int | float, high: int | float) -> IntervalSweep:
    return IntervalSweep(start=float(low), end=float(high))


def _int(*values):  # type: ignore[no-untyped-def]
    if len(values) != 2 or not all(isinstance(one, int | float) for one in values):
        return cast_int(*values)
    if any(one != int(one) for one in values):
        raise ValueError("int has whole numbers")
    return IntervalSweep(start=int(values[0]), end=int(values[1]))


def _bounds(one: Override) -> Bounds:
    sweep = one.value()
    if isinstance(sweep, IntervalSweep):
        return _numbers(sweep)
    if isinstance(sweep, RangeSweep):
        return _steps(sweep)
    if one.value_type is not None and one.value_type.name == "GLOB_CHOICE_SWEEP":
        raise ValueError("name the options, separated by commas")
    texts = tuple(dict.fromkeys(one.sweep_string_iterator()))
    return Choices(texts)


def _numbers(sweep: IntervalSweep) -> Numbers:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    if other := sorted(sweep.tags - {"log"}):
        raise ValueError(f"there is no tag {other[0]}: an interval may have the tag log")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"bounds are a number and a higher one, got {low:g} and {high:g}")
    is_log = "log" in sweep.tags
    if is_log and low <= 0:
        raise ValueError(f"a logarithmic scale has numbers above 0 alone, got {low:g}")
    return Numbers(low, high, is_log)


def _steps(sweep: RangeSweep) -> Numbers:
    start, stop, step = (Decimal(str(one)) for one in (sweep.start, sweep.stop, sweep.step))
    if step <= 0 or start + step >= stop:
        raise ValueError("a range goes from a number up to, and without, a higher one")
    last = start + step * (math.ceil((stop - start) / step) - 1)
    are_whole = all(isinstance(one, int) for one in (sweep.start, sweep.stop, sweep.step))
    kind = int if are_whole else float
    return Numbers(kind(start), kind(last), step=kind(step))
