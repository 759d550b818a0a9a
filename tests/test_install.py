"""The wheel, in an environment and a folder that know nothing of the repository."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from conftest import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of the commands of an environment with the wheel.

    Its dependencies are those of this environment, on its path and not installed again.
    """
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*pip, *build, REPOSITORY], check=True)
    (wheel,) = folder.glob("reslab-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv/bin/python"
    target = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    subprocess.run(
        [*pip, "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )
    (Path(target) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv/bin"


def run_in(cwd: Path, command: Path, *arguments: str, **environment: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=clean | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def call(installed: Path, cwd: Path, *arguments: str, **environment: str) -> str:
    return run_in(cwd, installed / "reslab", *arguments, **environment)


def test_it_is_the_wheel_s_package_and_configuration(installed, tmp_path):
    code = "import reslab, reslab.config as c; print(reslab.__file__, c.CONF_DIR, sep='\\n')"
    said = run_in(tmp_path, installed / "python", "-c", code)
    for line in said.splitlines():
        assert line.startswith(str(installed.parent)), line


def test_it_serves_the_studio_s_page(installed, tmp_path):
    """Each file that the page is made of is beside the code."""
    code = (
        "import reslab.studio.server as s; "
        "print(*sorted(p.name for p in [*s.PAGES.iterdir(), s.STYLE_SHEET] if p.is_file()))"
    )
    said = run_in(tmp_path, installed / "python", "-c", code)
    ours = REPOSITORY / "src/reslab"
    names = {path.name for path in (ours / "studio/pages").iterdir()} | {"style.css"}
    assert said.split() == sorted(names)


@pytest.mark.long
def test_it_reproduces_a_table(installed, tmp_path):
    """And so it trains: each run is a process of its own."""
    short = ("seed=0,1", "max_steps=2", "model=baseline_cnn", "model.widths=[4]", "logger=none")
    side_by_side = ("hydra/launcher=local", "hydra.launcher.slots=2")  # which Hydra has to find
    call(installed, tmp_path, "reproduce", "resnet3", "dataset=digits", *short, *side_by_side)
    records = list(tmp_path.glob("outputs/runs/*/metrics.json"))
    assert [json.loads(record.read_text())["git"] for record in records] == [None, None]
    assert (tmp_path / "outputs/tables/resnet3/digits/table.md").exists()
