"""The form of a run: what there is to choose from, and the fields that are left to fill in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reslab.config import (
    CONF_DIR,
    choices_of,
    compose,
    find_option,
    first_choices,
    keys_set_by,
    list_groups,
    list_options,
    own_folders,
    single_runs,
    suggest,
)
from reslab.errors import UserError
from reslab.runs.pins import as_typed

MOST_RUNS = 200  # of a sweep

# Groups in the order in which one chooses.
GROUPS = (
    *("recipe", "dataset", "model", "join", "optimizer", "augment", "ablation", "trainer"),
    "logger",
)
# Fields that are asked for first.
FIRST = (
    *("seed", "trainer.max_epochs", "dataset.batch_size", "optimizer.lr"),
    *("optimizer.weight_decay", "model.dropout", "label_smoothing", "patience"),
)
SELDOM = ("trainer", "logger", "ablation")  # groups that are chosen late, if at all
# What is not asked: where things lie is the server's to know, and a queue has no terminal.
HIDDEN = re.compile(
    r"data_dir|runs_dir|resume|rerun|test|init_from|extend_from|dataset\.(data_dir|name|content|source"
    r"|channels|num_classes)|model\.name|trainer\.(enable_progress_bar|quiet)|(\w+\.)*_\w+_"
)
# Options that no file has.
ABSENT = ("trainer.limit_train_batches", "trainer.limit_val_batches", "trainer.gradient_clip_val")


@dataclass
class Wish:
    """What a person has filled in, as overrides.

    Attributes:
        choices: Overrides of groups.
        others: Of fields, by their keys.
        keys: All fields that there are, with what they are when nothing is filled in.
        errors: What is wrong with which field or group, one line each.
    """

    choices: list[str]
    others: dict[str, str]
    keys: dict[str, Any]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """All of them."""
        return [*self.choices, *self.others.values()]

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "Wish":
        """Takes what the form has, as texts by group and key; what is wrong is left out and named.

        Raises:
            UserError: Nothing can be composed of it.
        """
        errors, choices = {}, []
        groups = list_groups()
        for group in (one for one in GROUPS if values.get(one)):
            names = str(values[group]).split(",")
            options = list_options(group)
            if wrong := next((name for name in names if name not in options), None):
                errors[group] = f"{group}={wrong}: there is no such option{suggest(wrong, options)}"
            else:
                choices.append(f"{group}={values[group]}")
        while True:
            try:
                wish = cls(choices, {}, _fields(single_runs(choices, MOST_RUNS)[0]), errors)
                break
            except UserError as error:  # of two that do not go together the later gives way
                said = str(error)
                files = {one: f"/{one.replace('=', '/')}.yaml" for one in choices}
                named = [one for one in choices if one in said or files[one] in said]
                if not (named := named or choices[-1:]):
                    raise
                errors[named[-1].partition("=")[0]] = said
                choices.remove(named[-1])
        for key, text in values.items():
            if key not in groups and str(text).strip():
                wish._fill_in(key, str(text).strip())
        return wish

    def _fill_in(self, key: str, text: str) -> None:
        override = f"{'++' if key in ABSENT else ''}{key}={text}"
        try:
            if key not in self.keys:
                raise UserError(f"{key}: the form has no such field")
            if "${" in text:
                raise UserError(f"{key}: what follows from other values is for files to say")
            single_runs([override], MOST_RUNS)
            self.others[key] = override
        except UserError as error:
            self.errors[key] = str(error)

    def runs(self) -> list[list[str]]:
        """The overrides of each run: of a sweep there are several.

        Raises:
            UserError: There are too many.
        """
        return single_runs(self.overrides, MOST_RUNS)


def read_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """All that the page draws a form of.

    Args:
        values: What is chosen and filled in.

    Returns:
        `groups` with their options, what is chosen where the user has not, and the first comment
        of what is; `fields` with what they are when nothing is filled in; of each in which `part`
        of the form it stands; `errors` by their names.

    Raises:
        UserError: Nothing can be composed of it.
    """
    wish = Wish.read(values)
    chosen = dict(text.split("=", 1) for text in single_runs(wish.choices, MOST_RUNS)[0])
    recipe = chosen.get("recipe", "")
    by_recipe = choices_of("recipe", recipe)
    set_by_recipe = keys_set_by("recipe", recipe)
    firsts = first_choices()
    comments = _comments(CONF_DIR / "train.yaml")
    return {
        "groups": [
            {
                "name": group,
                "options": list_options(group),
                "otherwise": by_recipe.get(group, firsts.get(group)) or "",
                "by_recipe": group in by_recipe,
                "part": "recipe" if group in by_recipe else _part(group),
                "about": _about(
                    group, chosen.get(group) or by_recipe.get(group, firsts.get(group))
                ),
            }
            for group in GROUPS
        ],
        "fields": [
            {
                "key": key,
                "otherwise": as_typed(value),
                "by_recipe": key in set_by_recipe,
                "part": "recipe" if key in set_by_recipe else _part(key),
                "about": comments.get(key, ""),
            }
            for key, value in wish.keys.items()
        ],
        "errors": wish.errors,
    }


def _part(key: str) -> str:
    """Of the form, in which a group or field stands that the recipe leaves open."""
    if key == "recipe":
        return "top"
    if key in FIRST or (key in GROUPS and key not in SELDOM):
        return "first"
    return key.partition(".")[0] if "." in key else "run"


def options() -> str:
    """What there is to choose from, as one text that is another when a file comes or goes."""
    found = []
    for root in (CONF_DIR, *map(Path, own_folders())):
        for file in sorted(root.rglob("*.yaml")):
            found.append(f"{file} {file.stat().st_mtime_ns if file.exists() else 0}")
    return str(hash("\n".join(found)))


def _fields(choices: list[str]) -> dict[str, Any]:
    """What can be filled in once groups are chosen, in the order of the form."""
    plain: Any = OmegaConf.to_container(compose(choices), resolve=False)
    found = dict(_leaves(plain)) | dict.fromkeys(ABSENT)
    order = [*FIRST, *sorted(found, key=lambda key: ("." in key, key.partition(".")[0]))]
    return {key: found[key] for key in dict.fromkeys(order) if key in found}


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values that stand in a configuration for themselves, by their keys."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if HIDDEN.fullmatch(key) or ("${" in str(value) and not isinstance(value, dict)):
            continue
        if isinstance(value, dict):
            yield from _leaves(value, f"{key}.")
        elif not (isinstance(value, list) and any(isinstance(one, dict) for one in value)):
            yield key, value


def _about(group: str, name: str | None) -> str:
    """What the file of an option begins with: its comment, without the commands in it."""
    path = find_option(group, name) if name else None
    if path is None:
        return ""
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("# @package", "#  ")):
            lines.append(line.removeprefix("#").strip())
    return re.sub(r"\s+", " ", " ".join(lines)).strip()


@cache
def _comments(path: Path) -> dict[str, str]:
    """What is said behind each key of a file's first level."""
    found = re.findall(r"^(\w+):.*?#\s*(.+)$", path.read_text(), re.MULTILINE)
    return dict(found)
