"""What is installed is pinned, with digests, to what `pyproject.toml` admits."""

import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import REPOSITORY

LOCK = REPOSITORY / "constraints.txt"
ENTRY = re.compile(r"(\S[^\\\n]*) \\\n(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+")


@pytest.fixture(scope="module")
def pinned():
    """The requirement of each package; the file is that of pip and nothing else."""
    text = "".join(line for line in LOCK.read_text().splitlines(True) if line[0] != "#")
    entries = list(ENTRY.finditer(text))
    assert "".join(entry[0] for entry in entries) == text
    requirements = [Requirement(entry[1]) for entry in entries]
    names = [canonicalize_name(one.name) for one in requirements]
    assert len(names) == len(set(names))
    return dict(zip(names, requirements, strict=True))


def asked():
    """What the project asks for, with all that can be added."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    lines = [*(line for group in groups for line in group)]
    return [one for one in map(Requirement, lines) if one.name != project["name"]]


@pytest.mark.parametrize("requirement", asked(), ids=lambda one: one.name)
def test_each_is_pinned_within_its_bounds_and_is_the_one_that_is_tested(requirement, pinned):
    (pin,) = pinned[canonicalize_name(requirement.name)].specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version)
    assert version(requirement.name).partition("+")[0] == pin.version


def test_make_installs_nothing_else():
    command = ["make", "-n", "install", "VENV=none"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    first, second = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert first.endswith(" --require-hashes --requirement constraints.txt")
    assert second.endswith(" --no-deps --no-build-isolation --editable .")
