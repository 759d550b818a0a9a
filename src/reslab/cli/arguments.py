"""What people type, as Hydra's parser takes it, or what they should have typed."""

import os
from collections.abc import Iterator, Sequence

from reslab.errors import UserError

# Overrides of Hydra's own that one run alone would leave aside.
OF_A_SWEEP = ("hydra/launcher", "hydra.launcher", "hydra/sweeper", "hydra.sweep")
OFF = ("null", "false", "", "{}")  # ways to say that a group is to be nothing


def at_home(path: str) -> str:
    """A path from a user's home where no shell has seen to it, as in `--output=~/tables`."""
    return os.path.expanduser(path) if path == "~" or path.startswith("~/") else path


def as_overrides(words: Sequence[str]) -> Iterator[str]:
    """Overrides as Hydra takes them: a group that is switched off is its option `none`.

    Raises:
        UserError: A word is no override; the message says how to write it.
    """
    for index, word in enumerate(words):
        key, equals, value = word.partition("=")
        group = key.lstrip("+")  # which adds what is there already: a group has one choice
        if word.startswith("~"):
            yield from _without(word, word[1:].partition("=")[0])
        elif not equals or not key:
            raise UserError(_as_it_is_written(word, words[index + 1 :]))
        elif not _is_group(group):
            yield f"{key}={at_home(value)}"
        elif value.lower() in OFF:
            yield from _without(word, group)
        else:
            yield _choice(word, group, value)


def _is_group(key: str) -> bool:
    from reslab.config import list_groups

    return key in list_groups()


def _choice(word: str, group: str, value: str) -> str:
    from reslab.config import list_options, suggest

    if value.lower() == "true" or value.isdigit():  # which Hydra does not take for a name
        raise UserError(f"{word}: there is no such option{suggest('', list_options(group))}")
    return f"{group}={value}"


def _without(word: str, key: str) -> Iterator[str]:
    """A group switched off: by its option `none`, or as it is where nothing is chosen at first."""
    from reslab.config import first_choices, list_options, suggest

    choices = first_choices()
    if key in choices and "none" in list_options(key):
        yield f"{key}=none"
    elif choices.get(key, key) is None:
        yield f"~{key}"
    elif key in choices:
        options = suggest("", list_options(key))
        raise UserError(f"{word}: there is no run without {key}{options}")
    elif "." in key:
        yield word
    else:
        raise UserError(f"{word}: {key} cannot be left out")


def _as_it_is_written(word: str, behind: Sequence[str]) -> str:
    """What to say of a word that is no override, and of those behind it."""
    from reslab.config import list_groups, list_options

    name, _, value = word.replace(":", "=", 1).partition("=")
    if name and (written := _as_key(name, value, behind)):
        return f"{word}: write {written}"
    if groups := [group for group in list_groups() if name in list_options(group)]:
        return f"{word}: write {' or '.join(f'{group}={name}' for group in groups)}"
    return f"{word}: what changes a run is written KEY=VALUE, without spaces at the ="


def _as_key(name: str, value: str, behind: Sequence[str]) -> str | None:
    """The override that a name, a value and the words behind them may stand for."""
    from reslab.config import known_keys

    values = [word for word in behind[:2] if word != "="]
    value = value or (values[0] if values and "=" not in values[0] else "VALUE")
    keys, name = known_keys(), name.replace("-", "_")
    ends = [[key for key in keys if f".{key}".endswith(f"{mark}{name}")] for mark in "._"]
    found = [key for key in keys if key == name] or ends[0] or ends[1]
    return " or ".join(f"{key}={value}" for key in found) or None


def as_key(option: str, words: Sequence[str]) -> str | None:
    """What to say of an option that is meant as a key, None of any other.

    Args:
        option: The option, with its hyphens.
        words: The words of the command line.
    """
    at = next((i for i, word in enumerate(words) if word.partition("=")[0] == option), None)
    if at is None:
        return None
    name, _, value = words[at].lstrip("-").partition("=")
    written = _as_key(name, value, words[at + 1 :])
    return written and f"{option}: write {written}"


def for_hydra(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's own flags, wherever they stand, and the overrides.

    Raises:
        UserError: A word is neither, or is about a sweep where none is asked for.
    """
    from hydra._internal.utils import get_args_parser

    actions = {name: one for one in get_args_parser()._actions for name in one.option_strings}
    flags: list[str] = []
    overrides: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
            continue
        action = actions.get(word.partition("=")[0])
        if action is None:
            option = word.partition("=")[0]
            raise UserError(as_key(option, words) or f"there is no option {option}")
        flags.append(word)
        is_its_value = waiting and waiting[0] in (action.choices or waiting)
        if action.nargs != 0 and "=" not in word and is_its_value:
            flags.append(waiting.pop(0))
    is_one_run = not flags and "hydra.mode=MULTIRUN" not in overrides
    for word in overrides if is_one_run else ():
        if word.lstrip("+~").startswith(OF_A_SWEEP):
            raise UserError(f"{word} is about a sweep, for which `reslab train` needs -m")
    return flags, list(as_overrides(overrides))
