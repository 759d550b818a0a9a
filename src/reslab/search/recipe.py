"""What a search has found, as a recipe that runs."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from reslab.config import compose, folder_added, list_groups, own_folders, parse_overrides
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.runs.identity import differing_keys, hashed_config
from reslab.runs.pins import as_typed
from reslab.search.plan import Search

WHOLE = ("recipe", "ablation")  # groups whose options choose those of others


def write_recipe(search: Search, overrides: Sequence[str], about: Sequence[str]) -> list[str]:
    """Writes a run's overrides as a recipe into the study's folder.

    Args:
        search: The search.
        overrides: Those of the run.
        about: What the file says of itself.

    Returns:
        The command that runs it.

    Raises:
        UserError: The file cannot be written, or another run would come of it.
    """
    folder = search.folder / "conf"
    command = ["reslab", "train"]
    command += [f"--config-dir={one}" for one in own_folders() if Path(one) != folder.resolve()]
    command += [f"--config-dir={folder}", f"recipe={as_typed(search.name)}"]
    path = folder / "recipe" / f"{search.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    comments = [f"# {line}" if line else "#" for line in [*about, "", f"  {shlex.join(command)}"]]
    text = yaml.safe_dump(_content(overrides), sort_keys=False)
    write_atomically(path, "\n".join(["# @package _global_", *comments, text]).encode())
    with folder_added(folder):
        ours, theirs = (hashed_config(compose(one)) for one in (command[-1:], overrides))
    if keys := differing_keys(ours, theirs):
        raise UserError(f"{path} is not what the best trial was, but for {', '.join(keys)}")
    return command


def _content(overrides: Sequence[str]) -> dict[str, Any]:
    """A recipe of the same groups and values, over the recipe and the ablation that it is of."""
    whole: dict[str, str] = {}
    groups: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for key, text, given in parse_overrides(overrides):
        value = getattr(given[0], "text", given[0])
        if key in WHOLE:
            whole[key] = f"/{key}/{value}"
        elif key in list_groups():
            groups[f"override /{key}"] = "none" if text.startswith("~") else value
        else:
            _put(values, key.split("."), None if text.startswith("~") else value)
    defaults = [whole[key] for key in WHOLE if key in whole]
    return {"defaults": [*defaults, *({k: v} for k, v in groups.items()), "_self_"], **values}


def _put(node: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        node = node.setdefault(part, {})
    node[path[-1]] = value
