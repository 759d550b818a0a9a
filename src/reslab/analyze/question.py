"""What is asked of an analysis, as it is typed, named and read."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from reslab.content import GIANT
from reslab.errors import UserError

NUMBERS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Question:
    """A kind of analysis and what was asked of it."""

    kind: str
    settings: Any

    @property
    def name(self) -> str:
        """By which it is told from others of its kind."""
        asked = json.dumps(asdict(self.settings), sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"

    @property
    def words(self) -> str:
        """What was asked other than is usual, as one would type it."""
        return typed(self.settings, but=type(self.settings)())


def typed(settings: Any, but: Any = None) -> str:
    """Settings as one would type them; without those that others have as well, if there are any."""
    left_out = asdict(but) if but else {}
    return " ".join(
        f"{key}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for key, value in asdict(settings).items()
        if value is not None and (key, value) not in left_out.items()
    )


def parsed(settings: type[Any], words: Sequence[str]) -> Any:
    """Settings from words, each `key=value`.

    Raises:
        UserError: A key or value is none of theirs, or a key is given twice.
    """
    hints = get_type_hints(settings)
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in hints:
            raise UserError(f"{word} is no setting: choose {', '.join(f'{k}=' for k in hints)}")
        if key in values:
            raise UserError(f"{word}: {key}= is given twice")
        values[key] = _value(key, text, hints[key])
    return settings(**values)


def refuse_beyond(key: str, value: int, least: int) -> None:
    """Refuses a whole number that is too small, or that nobody's file has.

    Raises:
        UserError: It is.
    """
    if not least <= value < GIANT:
        raise UserError(f"{key}={value}: choose from {least} to {GIANT - 1}")


def _value(key: str, text: str, hint: Any) -> Any:
    """What stands behind a key, as the type of its field."""
    if get_origin(hint) is Literal and text not in get_args(hint):
        raise UserError(f"{key}={text!r:.40}: give {' or '.join(get_args(hint))}")
    if hint not in NUMBERS:
        return text
    try:
        return hint(text)
    except ValueError as error:
        raise UserError(f"{key}={text!r:.40}: give {NUMBERS[hint]}") from error
