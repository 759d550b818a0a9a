"""Imports point one way; Hydra and the figures' library stay in their rooms."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import reslab

PACKAGE = Path(reslab.__file__).parent
PLUGINS = PACKAGE.parent / "hydra_plugins"

# What each part may import besides itself and what all may import.
EVERYWHERE = {"content", "errors", "files", "ranges", "reporter"}
BELOW: dict[str, set[str]] = {
    "content": set(),
    "errors": set(),
    "files": set(),
    "ranges": set(),
    "reporter": set(),
    "markdown": set(),
    "preprocess": set(),
    "machine": set(),
    "locks": set(),
    "progress": set(),
    "ranks": set(),
    "config": set(),
    "nn": set(),
    "loss": set(),
    "monitor": set(),
    "optim": {"monitor"},
    "average": set(),
    "finite": set(),
    "data": {"preprocess", "locks", "pictures", "ranks"},
    "evaluation": set(),
    "analysis": {"nn", "evaluation"},
    "lightning_bypass": {"monitor"},
    "task": {"average", "finite", "lightning_bypass", "loss", "optim", "machine", "ranks"},
    "callbacks": {"lightning_bypass", "machine", "nn", "preprocess", "progress", "ranks"},
    "runs": {
        *("data", "loss", "task", "callbacks", "config", "machine", "analysis"),
        *("finite", "lightning_bypass", "monitor"),
        *("locks", "progress", "preprocess", "pictures", "ranks"),
    },
    "pictures": {"config", "preprocess"},
    "classifier": {"runs"},
    "export": {"analysis", "preprocess", "runs", "classifier", "evaluation", "markdown"},
    "predicting": {
        *("analysis", "preprocess", "runs", "classifier", "config", "data", "machine"),
        *("pictures", "export"),
    },
    "reports": {"preprocess", "runs", "evaluation", "pictures", "predicting"},
    "analyze": {
        *("analysis", "classifier", "config", "data", "evaluation", "nn", "predicting"),
        *("preprocess", "reports", "runs"),
    },
    "use": {"classifier", "pictures", "predicting", "export", "reports"},
    "tables": {
        *("analysis", "analyze", "runs", "reports", "evaluation", "markdown", "config", "progress"),
        "search",
    },
    "capsule": {"config", "data", "machine", "runs", "search", "tables"},
    "bench": {
        *("data", "callbacks", "runs", "config", "machine", "evaluation", "markdown"),
        *("preprocess", "classifier", "pictures", "predicting", "reports", "terminal"),
    },
    "terminal": {
        *("analysis", "data", "runs", "export", "reports", "use", "tables", "apps", "progress"),
        "pictures",
    },
    "jobs": {"runs", "progress", "locks"},
    "apps": {"runs", "tables", "config", "jobs", "ranks"},
    "search": {"config", "evaluation", "jobs", "locks", "reports", "runs"},
    "studio": {
        *("config", "evaluation", "pictures", "predicting", "progress", "reports", "runs"),
        *("analyze", "classifier", "tables", "use", "analysis", "jobs", "locks", "loss", "machine"),
        "search",
    },
    "doctor": {"config", "jobs", "locks", "machine"},
    "selftest": {"config", "jobs", "progress", "runs"},
    "cli": {
        *("apps", "doctor", "selftest", "terminal", "tables", "bench", "use", "reports", "jobs"),
        "analyze",
        *("runs", "analysis", "capsule", "config", "search", "studio"),
    },
    "__init__": {"predicting"},
    "__main__": {"cli"},
    "hydra_plugins": {"jobs", "runs", "config", "terminal", "cli"},
}
ALONE = {
    "hydra": {"config", "runs", "apps", "cli", "hydra_plugins"},
    "matplotlib": {"analysis", "analyze", "evaluation", "tables", "bench", "search"},
    "bokeh": {"analyze", "reports", "tables", "studio", "search"},
    "optuna": {"search"},
    "rocrate": {"capsule"},
}


@functools.cache
def tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


@functools.cache
def modules() -> list[tuple[Path, str, str]]:
    return list(_modules())


def _modules():
    """Imports of each file, with the part that it belongs to; Hydra looks for launchers outside."""
    launchers = [(path, "hydra_plugins") for path in PLUGINS.glob("*.py")]
    for path, part in [
        *((one, one.relative_to(PACKAGE).parts[0]) for one in sorted(PACKAGE.rglob("*.py"))),
        *launchers,
    ]:
        part = part.removesuffix(".py")
        for node in ast.walk(tree(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                if node.module == "reslab":
                    names = [f"reslab.{alias.name}" for alias in node.names]
            for name in names:
                yield path, part, name


def test_parts_import_only_what_is_below_them():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert (parts - {"__pycache__"}) | {PLUGINS.name} == set(BELOW)
    used: dict[str, set[str]] = {part: set() for part in BELOW}
    for path, part, name in modules():
        if name.startswith("reslab."):
            other = name.split(".")[1]
            assert other in {part, *BELOW[part], *EVERYWHERE}, f"{path} imports {name}"
            used[part] |= {other} - {part} - EVERYWHERE
    assert used == BELOW, "what is allowed and not used keeps no room apart"


def test_no_part_is_below_itself():
    list(TopologicalSorter(BELOW).static_order())  # which raises for a circle


def test_libraries_stay_in_their_rooms():
    for path, part, name in modules():
        library = name.partition(".")[0]
        if library in ALONE:
            assert part in ALONE[library], f"{path} imports {name}"


def test_networks_need_torch_alone():
    allowed = {"torch", "reslab", *sys.stdlib_module_names}
    for path, part, name in modules():
        if part == "nn":
            assert name.partition(".")[0] in allowed, f"{path} imports {name}"


# Besides the commands: a program that a comparison starts prints what it measured.
PRINTS = {"bench/variants.py"}
# The bar of training is drawn where its numbers are.
DRAWS = {PACKAGE / "callbacks/progress.py": "tqdm"}


def test_only_the_commands_print():
    """What a function finds it returns, and what it tells meanwhile it tells a reporter."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name.startswith(("cli/", "terminal/")) or name in PRINTS:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                printing = re.fullmatch(
                    r"print|.*print_\w+|click\.echo|tqdm\.write|sys\.(stdout|stderr)\.write", called
                )
                assert not printing, f"{name}:{node.lineno} calls {called}"
    for path, part, name in modules():
        if part not in ("cli", "terminal"):
            library = name.partition(".")[0]
            drawn = DRAWS.get(path)
            assert library not in {"tqdm", "click", "rich"} - {drawn}, f"{path} imports {name}"


# Help, and what `reslab runs` and `reslab diff` need, and a table that has no runs yet; one process
# imports them one after the other, what needs least first.
WITHOUT = {
    "reslab": ["torch"],
    "reslab.cli": ["torch"],
    "reslab.terminal.runs": ["torch", "pandas"],
    "reslab.tables.render": ["torch", "scipy", "matplotlib", "bokeh"],
    "reslab.terminal.tables": ["torch"],
    "reslab.runs.check": ["torch"],
    "reslab.studio.server": ["torch"],
}


@pytest.mark.slow
def test_what_answers_at_once_does_not_import_what_it_does_not_need():
    code = (
        "import importlib, sys\n"
        f"for module, libraries in {WITHOUT}.items():\n"
        "    importlib.import_module(module)\n"
        "    print(*(f'{module}: {one}' for one in libraries if one in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == []


def test_what_is_imported_is_declared():
    """So that an empty environment with the wheel lacks nothing."""
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    texts = [
        *project["dependencies"],
        *optional["export"],
        *optional["search"],
        *optional["capsule"],
    ]
    declared = {re.split(r"[<>=!~ ]", text)[0] for text in texts}
    names = {"sklearn": "scikit-learn", "hydra": "hydra-core", "yaml": "omegaconf", "PIL": "pillow"}
    names |= {"tornado": "bokeh"}
    for path, _, name in modules():
        top = name.partition(".")[0]
        if top not in {"reslab", "hydra_plugins", *sys.stdlib_module_names}:
            assert names.get(top, top) in declared, f"{path} imports {name}"
