"""Files of runs, in which anything may stand."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reslab.errors import UserError
from reslab.runs.record import WAY_OUT


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Has a file that is missing, foreign or damaged be a line that names it.

    Raises:
        UserError: Whatever else is raised while it is entered.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; {WAY_OUT}") from error
    except Exception as error:  # whatever stands in a foreign or damaged file
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(f"{path} is damaged or foreign ({said}); {WAY_OUT}") from error


def require(condition: bool, otherwise: str) -> None:
    """Refuses what a file holds.

    Raises:
        ValueError: With what is wrong, unless the condition holds.
    """
    if not condition:
        raise ValueError(otherwise)
