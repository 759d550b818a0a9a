"""Imports point one way; Hydra and the figures' library stay in their rooms."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import reslab

PACKAGE = Path(reslab.__file__).parent

# What each part may import besides itself and what all may import.
EVERYWHERE = {"errors", "files"}
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "markdown": set(),
    "machine": set(),
    "config": set(),
    "nn": set(),
    "optim": set(),
    "data": set(),
    "evaluation": set(),
    "analysis": {"nn", "evaluation"},
    "task": {"nn", "data", "optim", "machine"},
    "callbacks": {"nn", "data", "optim", "task"},
    "runs": {"nn", "data", "optim", "task", "callbacks", "config", "machine", "analysis"},
    "pictures": {"config", "data"},
    "export": {"analysis", "data", "runs", "evaluation", "markdown"},
    "predicting": {"analysis", "data", "runs", "config", "machine", "pictures", "export"},
    "reports": {"data", "runs", "evaluation", "pictures", "predicting"},
    "tables": {"analysis", "data", "runs", "evaluation", "markdown", "config", "terminal"},
    "bench": {
        *("data", "callbacks", "runs", "config", "machine", "evaluation", "markdown"),
        *("pictures", "predicting", "reports", "terminal"),
    },
    "terminal": {"analysis", "data", "runs", "reports"},
    "apps": {"runs", "tables", "config"},
    "cli": {
        *("apps", "terminal", "tables", "bench", "predicting", "pictures", "reports", "export"),
        *("runs", "analysis", "markdown", "config"),
    },
    "__init__": {"runs"},
}
ALONE = {
    "hydra": {"config", "runs", "apps"},
    "matplotlib": {"analysis", "evaluation", "tables", "bench"},
    "bokeh": {"reports", "tables"},
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                yield path, part, name


def test_parts_import_only_what_is_below_them():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__pycache__"} == set(BELOW)
    for path, part, name in modules():
        if name.startswith("reslab."):
            other = name.split(".")[1]
            assert other in {part, *BELOW[part], *EVERYWHERE}, f"{path} imports {name}"


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


@pytest.mark.parametrize(
    ("module", "library"),
    [
        *((module, "torch") for module in ("reslab", "reslab.cli", "reslab.terminal.runs")),
        ("reslab.tables.spec", "lightning"),
    ],
)
def test_what_answers_at_once_does_not_import_torch(module, library):
    """Help, and what `reslab runs` and `reslab diff` need; nor do tables wait for Lightning."""
    code = f"import {module}, sys; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_what_is_imported_is_declared():
    """So that an empty environment with the wheel lacks nothing."""
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    declared = {re.split(r"[<>=!~ ]", text)[0] for text in texts}
    names = {"sklearn": "scikit-learn", "hydra": "hydra-core", "yaml": "omegaconf", "PIL": "pillow"}
    for path, _, name in modules():
        top = name.partition(".")[0]
        if top not in {"reslab", "hydra_plugins", *sys.stdlib_module_names}:
            assert names.get(top, top) in declared, f"{path} imports {name}"
