"""JSON that others may have written or damaged: read, and checked for what it is to be."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from types import MappingProxyType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

GIANT = 1 << 63  # whole numbers from which on nobody's file has any


def parse(text: str | bytes) -> Any:
    """What JSON says.

    Raises:
        ValueError: It is none, or nested deeper than anybody's is.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def build(kind: Any, content: Any, keys: Mapping[str, str] = MappingProxyType({})) -> Any:
    """A data class from JSON's types; what it has no field for is passed over.

    Args:
        kind: The data class.
        content: What JSON said, values that are data classes already put in their places.
        keys: Names of fields to the keys that they have there, if these are others.

    Raises:
        ValueError: It is no object, or a field is missing or of another type.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{content!r:.40} is no {kind.__name__}")
    values, wrong = {}, []
    for name, hint, is_needed in _fields(kind):
        key = keys.get(name, name)
        if key in content:
            value = content[key]
            if not _fits(value, hint):
                wrong.append(f"{key} is {value!r:.40}")
            is_frozen = isinstance(value, list) and get_origin(hint) is not list
            values[name] = tuple(value) if is_frozen else value
        elif is_needed:
            wrong.append(f"{key} is missing")
    if wrong:
        raise ValueError(", ".join(wrong))
    return kind(**values)


@cache
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    """Of each field: its name, its type, and whether it has to be there."""
    hints = get_type_hints(kind)
    return [
        (one.name, hints[one.name], one.default is MISSING and one.default_factory is MISSING)
        for one in fields(kind)
    ]


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON's is of a type; a whole number is a number too, if it is no giant."""
    if hint is Any:
        return True
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is UnionType:
        return any(_fits(value, part) for part in parts)
    if kind is Literal:
        return any(type(value) is type(part) and value == part for part in parts)
    if kind is float:
        return type(value) is float or (type(value) is int and abs(value) < GIANT)
    if kind is int:
        return type(value) is int and abs(value) < GIANT
    if kind is tuple:
        if type(value) is not list:
            return False
        each = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(each) == len(value) and all(map(_fits, value, each))
    if kind is list:
        return type(value) is list and all(_fits(one, *parts or (Any,)) for one in value)
    if kind is dict:
        return type(value) is dict and all(_fits(one, parts[1]) for one in value.values())
    return type(value) is kind
