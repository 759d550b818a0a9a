"""The tests end, whatever becomes of the processes that they run in."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SETTINGS = TESTS.parent / "pyproject.toml"


def run_tests(folder, *options):
    """Runs a folder's tests as ours are run, with the plugins that this takes alone."""
    plugins = [
        option for name in ("xdist", "pytest_timeout", "watchdog") for option in ("-p", name)
    ]
    command = ["pytest", "-c", str(SETTINGS), f"--rootdir={folder}", *plugins, *options]
    paths = {"PYTHONPATH": f"{TESTS}{os.pathsep}{folder}", "WATCHDOG_GRACE": "10"}
    paths |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # others take seconds to import
    return subprocess.run(
        [sys.executable, "-m", *command, str(folder)],
        cwd=folder,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize("has_slurm", [True, False])
@pytest.mark.parametrize("fails", ["update", "install"])
def test_ci_goes_on_without_a_browser_and_not_without_a_cluster(fails, has_slurm, tmp_path):
    """By its own script, with commands that note what they are asked."""
    ci, commands = tmp_path / "clone/.ci/run", tmp_path / "commands"
    ci.parent.mkdir(parents=True)
    shutil.copy(TESTS.parent / ".ci/run", ci)
    commands.mkdir()
    apt = f'[ "$1" != {fails} ]'
    scripts = {"apt-get": apt, "make": f"echo $@ >> {tmp_path}/made", "dirname": "echo ${1%/*}"}
    scripts |= {"slurmctld": ""} if has_slurm else {}
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    bash = shutil.which("bash")
    done = subprocess.run(
        [bash, ci], env={"PATH": str(commands)}, capture_output=True, text=True, timeout=60
    )
    assert "no chromium: skipped" in done.stdout
    assert (done.returncode == 0) == has_slurm, done.stderr
    made = tmp_path / "made"
    assert (made.read_text().split() if made.exists() else []) == (
        ["install", "lint", "test-all"] if has_slurm else []
    )


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_suite_with_the_test_s_name(tmp_path):
    (tmp_path / "test_dies.py").write_text("import os\ndef test_it_dies(): os.abort()\n")
    (tmp_path / "test_lives.py").write_text("def test_it_lives(): pass\n")
    done = run_tests(tmp_path)
    assert done.returncode == 1
    assert "crashed while running 'test_dies.py::test_it_dies'" in done.stdout
    assert "1 failed, 1 passed" in done.stdout, "it is not run again"


@pytest.mark.long
def test_a_run_that_waits_for_what_never_comes_ends_with_the_names(tmp_path):
    (tmp_path / "test_waits.py").write_text(
        "import os, signal\ndef test_it_waits(): os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    begun = time.monotonic()
    done = run_tests(tmp_path, "-o", "timeout=2")
    assert done.returncode == 3
    assert "no test has ended for 12 s: test_waits.py::test_it_waits" in done.stderr
    assert time.monotonic() - begun < 60
