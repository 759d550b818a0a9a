"""The tests end, whatever becomes of the processes that they run in."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SETTINGS = TESTS.parent / "pyproject.toml"


def run_tests(folder, *options):
    """Runs a folder's tests as ours are run."""
    command = ["pytest", "-c", str(SETTINGS), f"--rootdir={folder}", "-p", "watchdog", *options]
    paths = {"PYTHONPATH": f"{TESTS}{os.pathsep}{folder}", "WATCHDOG_GRACE": "10"}
    return subprocess.run(
        [sys.executable, "-m", *command, str(folder)],
        cwd=folder,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_suite_with_the_test_s_name(tmp_path):
    (tmp_path / "test_dies.py").write_text("import os\ndef test_it_dies(): os.abort()\n")
    (tmp_path / "test_lives.py").write_text("def test_it_lives(): pass\n")
    done = run_tests(tmp_path)
    assert done.returncode == 1
    assert "crashed while running 'test_dies.py::test_it_dies'" in done.stdout
    assert "1 failed, 1 passed" in done.stdout, "it is not run again"


@pytest.mark.slow
def test_a_run_that_waits_for_what_never_comes_ends_with_the_names(tmp_path):
    (tmp_path / "test_waits.py").write_text(
        "import os, signal\ndef test_it_waits(): os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    begun = time.monotonic()
    done = run_tests(tmp_path, "-o", "timeout=2")
    assert done.returncode == 3
    assert "no test has ended for 12 s: test_waits.py::test_it_waits" in done.stderr
    assert time.monotonic() - begun < 60
