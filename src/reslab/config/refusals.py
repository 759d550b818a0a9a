"""What a constructor refuses: one line that names the option as a user can type it."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from inspect import Parameter, signature
from types import FrameType
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from reslab.config.messages import first_line, suggest
from reslab.errors import UserError


def refusal(error: Exception, field: str, cfg: DictConfig | None = None) -> UserError:
    """What to say of an error in something that a configuration has built, or in its constructor.

    Args:
        error: What Hydra's `instantiate` raised, or what it left to be called later.
        field: Which key was built, if the error does not tell which part of it refused.
        cfg: The whole configuration; what it takes from another group is named by that group.
    """
    while isinstance(error, InstantiationException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    key, options, given = _refusing(error) or (field, (), ())
    path = key if cfg is None else as_typed(key, cfg)
    line = first_line(error) or type(error).__name__
    if found := re.search(r"unexpected keyword argument '(\w+)'", line):
        if found[1] in given:
            return UserError(f"{path} has no option {found[1]}{suggest(found[1], options)}")
    elif found := re.search(r"missing \d+ required .* arguments?: (.*)", line):
        return UserError(f"{path} lacks {found[1]}")
    elif (found := re.match(r"\w+", line)) and found[0] in (*options, *given):
        return UserError(f"{path}.{line}")
    return UserError(f"{path}: {line}")


def _refusing(error: Exception) -> tuple[str, Iterable[str], Iterable[str]] | None:
    """Key of the innermost node whose constructor ran, the options that it has, and the given.

    Hydra 1.3.8 names the node in the text of its error alone, and not at all where a constructor is
    called later; but both of its functions that call one know the node's key.
    """
    found = None
    trace = error.__traceback__
    while trace:
        found = _constructor(trace.tb_frame) or found
        trace = trace.tb_next
    if found is None:
        return None
    key, target, given, deferred = found
    options = [
        name
        for name, parameter in signature(target).parameters.items()
        if name in given or not deferred or parameter.default is not Parameter.empty
    ]
    return key, options, given


def _constructor(frame: FrameType) -> tuple[str, Callable[..., Any], Iterable[str], bool] | None:
    names = frame.f_locals
    if frame.f_code.co_name == "_call_target":
        return names["full_key"], names["_target_"], names["kwargs"], names["_partial_"]
    if isinstance(made := names.get("self"), partial) and hasattr(made, "_hydra_full_key"):
        return made._hydra_full_key, made.func, made.keywords, True
    return None


def as_typed(key: str, cfg: DictConfig) -> str:
    """A key as overrides have it, below the group that an interpolation on the way leads to.

    Args:
        key: OmegaConf's key of a node, such as `a.list[1].x`, or `a.list1` of an item itself.
        cfg: The whole configuration.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    parts = re.sub(r"\[(\d+)\]", r".\1.", key).replace("..", ".").split(".")
    typed: list[str] = []
    node = plain
    while parts:
        part = parts.pop(0)
        if isinstance(node, list):
            node = node[int(part)]
        elif isinstance(node, dict):
            if part not in node and (item := re.fullmatch(r"(.+?)(\d+)", part)):
                part, parts = item[1], [item[2], *parts]
            node = node.get(part)
        typed.append(part)
        if isinstance(node, str) and (group := re.fullmatch(r"\$\{(\w+)\}", node)):
            typed, node = [group[1]], plain.get(group[1])
    return ".".join(typed)
