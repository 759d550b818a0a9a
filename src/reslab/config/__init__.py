"""Configurations: where they lie, how they are composed, what they may build."""

from reslab.config.bounds import Bounds, Choices, Numbers, parse_bounds
from reslab.config.compose import (
    check_choices,
    choices_of,
    compose,
    compose_search,
    groups_chosen_by,
    keys_set_by,
    launcher_options,
    parse_overrides,
    single_runs,
)
from reslab.config.messages import explain, known_keys, suggest
from reslab.config.places import (
    CONF_DIR,
    VERSION_BASE,
    add_folder,
    find_option,
    first_choices,
    folder_added,
    list_groups,
    list_options,
    not_yaml,
    own_folders,
    own_groups,
    search_path,
    top_level_keys,
)
from reslab.config.refusals import refusal
from reslab.config.targets import instantiate, is_own_target, own_sources, trusted_modules

__all__ = [
    "CONF_DIR",
    "VERSION_BASE",
    "Bounds",
    "Choices",
    "Numbers",
    "add_folder",
    "check_choices",
    "choices_of",
    "compose",
    "compose_search",
    "explain",
    "find_option",
    "first_choices",
    "folder_added",
    "groups_chosen_by",
    "instantiate",
    "is_own_target",
    "keys_set_by",
    "known_keys",
    "launcher_options",
    "list_groups",
    "list_options",
    "not_yaml",
    "own_folders",
    "own_groups",
    "own_sources",
    "parse_bounds",
    "parse_overrides",
    "refusal",
    "search_path",
    "single_runs",
    "suggest",
    "top_level_keys",
    "trusted_modules",
]
