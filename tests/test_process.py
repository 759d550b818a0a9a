"""Commands work however they are started: streams, homes, a user's own settings."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from processes import run
from reslab.cli.process import prepare_process
from reslab.runs.identity import identity
from reslab.runs.store import RunDirectory
from training import SMALL, only_run

RESLAB = [sys.executable, "-m", "reslab"]
TRAIN = ("train", *SMALL, "logger=none", "trainer.max_epochs=1")


def shell(text, cwd, **environment):
    """Runs a line of shell in which `reslab` is the command."""
    line = text.replace("reslab", " ".join(RESLAB))
    return subprocess.run(
        ["bash", "-c", line], cwd=cwd, env=os.environ | environment, capture_output=True
    )


@pytest.fixture
def of_two_seeds(trained, tmp_path):
    """A folder with two finished runs that differ in the seed, as their configurations say."""
    for seed in (0, 1):
        copy = tmp_path / f"outputs/runs/run-{seed}"
        shutil.copytree(only_run(trained), copy)
        config = (copy / "config.yaml").read_text()
        (copy / "config.yaml").write_text(re.sub(r"(?m)^( *)seed: 0", rf"\1seed: {seed}", config))
        record = json.loads((copy / "metrics.json").read_text())
        changed = record | {"identity": identity(RunDirectory(copy).config())}
        (copy / "metrics.json").write_text(json.dumps(changed))
    return tmp_path


def test_what_an_encoding_lacks_is_replaced(of_two_seeds):
    done = shell("reslab runs --by-seed", of_two_seeds, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"? 0.00" in done.stdout
    whole = shell("reslab runs --by-seed", of_two_seeds, PYTHONIOENCODING="utf-8")
    assert "± 0.00".encode() in whole.stdout


@pytest.mark.long
def test_a_run_needs_no_streams(tmp_path):
    done = shell(f"reslab {' '.join(TRAIN)} <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    run_directory = only_run(tmp_path)
    assert RunDirectory(run_directory).record()
    assert "test accuracy" in (run_directory / "log.txt").read_text().splitlines()[-1]
    for file in filter(
        Path.is_file, run_directory.rglob("*")
    ):  # none of them had got the number of a stream
        assert file.name == "log.txt" or b"img/s" not in file.read_bytes()


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("set -o pipefail; reslab runs | true", 0, b""),
        ("reslab runs > /dev/full", 1, b"No space left on device"),
        ("reslab runs 2> /dev/full", 0, b""),
        ("reslab runs --runs-dir nothing 2> /dev/full > /dev/full", 1, b""),
    ],
)
def test_a_reader_may_go_and_a_full_disk_is_said(line, code, said, of_two_seeds):
    done = shell(line, of_two_seeds)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.long
def test_notes_that_cannot_be_written_do_not_end_a_run(tmp_path):
    done = shell(f"reslab {' '.join(TRAIN)} 2> /dev/full", tmp_path)
    assert done.returncode == 0
    assert b"test accuracy" in done.stdout


@pytest.fixture
def restored(monkeypatch):
    """A process whose streams, signals and environment are put back."""
    import signal

    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    for name in ("HOME", "MPLBACKEND", "MATPLOTLIBRC"):
        monkeypatch.setenv(name, os.environ.get(name, "agg"))
    yield monkeypatch
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_user_without_a_home_has_the_folder_for_temporary_files(restored, tmp_path):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    restored.setattr(Path, "home", nowhere)
    restored.setattr(tempfile, "tempdir", str(tmp_path))
    prepare_process()
    assert os.environ["HOME"] == str(tmp_path)


def test_without_a_folder_for_temporary_files_one_line_says_so_before_the_training(
    restored, tmp_path
):
    from click.testing import CliRunner

    from reslab.cli import cli
    from reslab.errors import UserError

    restored.setattr(tempfile, "tempdir", None)
    restored.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere", "/dev/null"])
    with pytest.raises(UserError, match="TMPDIR"):
        CliRunner().invoke(cli, [*TRAIN, f"runs_dir={tmp_path}"], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_number_without_a_name_evaluates_where_nothing_but_one_folder_is_writable(
    trained, plain, tmp_path
):
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("only root can become a user without a name, by setpriv")
    os.chown(tmp_path, 54321, 54321)
    who = ("--reuid=54321", "--regid=54321", "--clear-groups")
    reads = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    where = (f"PATH={os.environ['PATH']}", f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}")
    where += (f"MATPLOTLIBRC={settings_of_theirs(tmp_path / 'there', 'latin-1')}",)
    command = [*RESLAB, "evaluate", str(only_run(trained)), "--output", str(tmp_path / "out")]
    done = subprocess.run(
        ["setpriv", *who, *reads, "env", "-i", *where, f"TMPDIR={tmp_path}", *command],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert pixels(tmp_path / "out") == pixels(plain), "nor are a user's settings elsewhere heeded"


@pytest.fixture(scope="module")
def plain(trained, tmp_path_factory):
    """What is drawn where a user has set nothing."""
    folder = tmp_path_factory.mktemp("plain")
    done = run(folder, "evaluate", str(only_run(trained)), "--output", ".")
    assert done.code == 0, done.err
    return folder


def settings_of_theirs(folder, encoding):
    """A folder with a user's settings of matplotlib."""
    folder.mkdir()
    (folder / "matplotlibrc").write_text(
        "# für uns\ntext.usetex: True\naxes.facecolor: red\nsavefig.dpi: 10\nfont.size: 40\n",
        encoding=encoding,
    )
    return folder


def pixels(folder):
    (path,) = folder.glob("*/confusion.png")
    return Image.open(path).convert("RGB").tobytes()


@pytest.mark.long
def test_figures_are_ours_whatever_a_user_has_set(trained, plain, tmp_path):
    """In this folder and as the backend; elsewhere, with another encoding, the test above has it."""
    here, there = (
        settings_of_theirs(tmp_path / folder, encoding)
        for folder, encoding in (("here", "utf-8"), ("there", "latin-1"))
    )
    command = f"reslab evaluate {only_run(trained)} --output {tmp_path / 'own'}"
    done = shell(command, here, MPLBACKEND="module://of_a_notebook")
    assert done.returncode == 0, done.stderr
    line = shell(f"reslab evaluate {only_run(trained)}", there).stderr.splitlines()[-1]
    assert line.startswith(b"reslab: matplotlibrc, in this folder, is no UTF-8")
    assert pixels(tmp_path / "own") == pixels(plain)


def test_every_figure_is_drawn_in_our_style():
    import ast

    import reslab

    for path in Path(reslab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(one, ast.Call) and getattr(one.func, "id", "") == "Figure"
                for one in ast.walk(node)
            ):
                names = [getattr(one, "id", "") for one in node.decorator_list]
                assert "own_style" in names, f"{path}: {node.name}"


def test_it_is_a_module_too(tmp_path):
    done = subprocess.run([*RESLAB, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert "reslab" in done.stdout


def test_a_working_folder_of_hydra_s_is_refused_by_its_name(tmp_path):
    line = run(tmp_path, *TRAIN, "hydra.job.chdir=true").error_line()
    assert "hydra.job.chdir" in line
