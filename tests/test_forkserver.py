"""Processes that are forked instead of started, and do the same."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pages import REPOSITORY
from processes import run, start, wait_for
from reslab.jobs.forkserver import ForkServer, UnforkedError
from reslab.runs.store import list_runs
from training import ARGUMENTS, assert_same_results, only_run

RESLAB = [sys.executable, "-m", "reslab"]
LONG = ("trainer.max_epochs=500", "patience=null", "hydra.run.dir=long")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    return ForkServer(folder, os.environ | {"OMP_NUM_THREADS": "1", "SAID": "here"})


def forked(server, *command):
    """A process that the server has forked, and the file that it prints to."""
    number = len(list(server.folder.glob("*.txt")))
    path = server.folder / f"{number}.txt"
    with path.open("wb") as output:
        return server.fork([*RESLAB, *command], output), path


def ended(process):
    wait_for(lambda: process.poll() is not None)
    return process.poll()


def training(server):
    """A process that trains for long, and its directory."""
    process, output = forked(server, *ARGUMENTS, *LONG)
    folder = server.folder / "long"
    progress = folder / "progress.json"
    progress.unlink(missing_ok=True)
    wait_for(lambda: progress.exists() or process.poll() is not None)
    assert process.poll() is None, output.read_text()
    return process, folder


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("runs", "--runs-dir", "nothing"),
        ("summary", "model=mini_resnet"),
        ("no-such-command",),
    ],
)
def test_what_it_prints_and_how_it_ends_is_that_of_a_process_of_its_own(server, command):
    process, output = forked(server, *command)
    status = ended(process)
    alone = subprocess.run(
        [*RESLAB, *command],
        cwd=server.folder,
        env=server.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (status, output.read_text()) == (alone.returncode, alone.stdout)


@pytest.mark.slow
def test_a_forked_run_has_the_bits_of_one_that_is_not(server, tmp_path):
    process, output = forked(server, *ARGUMENTS, "trainer.max_epochs=2", "hydra.run.dir=two")
    assert ended(process) == 0, output.read_text()
    assert run(tmp_path, *ARGUMENTS, "trainer.max_epochs=2", OMP_NUM_THREADS="1").code == 0
    assert_same_results(server.folder / "two", only_run(tmp_path))


def test_it_has_the_folder_the_environment_and_a_group_of_its_own(server):
    process, folder = training(server)
    found = psutil.Process(process.pid)
    assert found.cwd() == str(server.folder)
    assert (os.getpgid(process.pid), os.getsid(process.pid)) != (os.getpgrp(), os.getsid(0))
    assert os.getpgid(process.pid) == process.pid
    os.killpg(process.pid, signal.SIGKILL)
    assert ended(process) == -signal.SIGKILL
    assert (folder / "checkpoints").exists()


@pytest.mark.slow
def test_what_is_told_to_end_saves_and_ends(server):
    process, folder = training(server)
    os.killpg(process.pid, signal.SIGTERM)
    assert ended(process) == 128 + signal.SIGTERM
    assert (folder / "checkpoints/last.ckpt").exists()


@pytest.mark.long
def test_several_go_on_at_a_time_and_each_has_its_own_end(server):
    process, _ = training(server)
    codes = [forked(server, *command)[0] for command in (("--help",), ("no-such-command",))]
    assert [ended(one) for one in codes] == [0, 2]
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    assert ended(process) == -signal.SIGKILL


@pytest.mark.long
def test_where_none_can_be_forked_those_that_run_go_on(tmp_path):
    """By a parent that ignores the ends of children, and with room for one process."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "def fork(real=os.fork, room=[1]):\n"
        "    if not room:\n"
        "        raise BlockingIOError\n"
        "    room.pop()\n"
        "    return real()\n"
        "os.fork = fork\n"
    )
    kept = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        server = ForkServer(tmp_path, os.environ | {"PYTHONPATH": str(tmp_path)})
    finally:
        signal.signal(signal.SIGCHLD, kept)
    process, _ = training(server)
    with pytest.raises(UnforkedError):
        forked(server, "--help")
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    assert ended(process) == 128 + signal.SIGTERM


def test_a_command_of_others_or_too_long_a_one_is_not_forked(server, tmp_path):
    with (tmp_path / "output").open("wb") as output:
        for command in ([sys.executable, "-c", "print()"], [*RESLAB, "x" * 70_000]):
            with pytest.raises(UnforkedError):
                server.fork(command, output)


def test_a_server_goes_with_what_uses_it_and_so_does_one_that_cannot_import(tmp_path):
    server = ForkServer(tmp_path, os.environ)
    process = server._process
    del server
    assert process.returncode is not None
    broken = ForkServer(tmp_path, os.environ | {"PYTHONPATH": str(_broken(tmp_path))})
    with pytest.raises(UnforkedError):
        forked(broken, "--help")


@pytest.mark.long
def test_code_that_has_been_edited_is_not_forked_and_a_server_s_runs_save_when_it_is_killed(
    tmp_path,
):
    for name in ("src", "conf"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    server = ForkServer(tmp_path, os.environ | {"PYTHONPATH": str(tmp_path / "src")})
    process, folder = training(server)
    before, _ = forked(server, "--help")
    file = tmp_path / "src/reslab/nn/blocks.py"
    file.write_text(f"{file.read_text()}\n# another remark\n")
    after, _ = forked(server, "--help")
    assert (ended(before), ended(after)) == (0, 0)
    text = file.read_text()
    file.write_text(f"{text}\nNUMBER = 1\n")
    with pytest.raises(UnforkedError):
        forked(server, "--help")
    file.write_text(text)
    psutil.Process(process.pid).parent().kill()
    assert ended(process) == -signal.SIGKILL
    assert (folder / "checkpoints/last.ckpt").exists()
    with pytest.raises(UnforkedError):
        forked(server, "--help")


def _broken(folder: Path) -> Path:
    """A folder with a PyTorch that cannot be imported."""
    (folder / "modules").mkdir()
    (folder / "modules/torch.py").write_text("raise ImportError")
    return folder / "modules"


@pytest.mark.long
def test_a_sweep_forks_its_runs(tmp_path):
    sweep = ("train", "-m", *ARGUMENTS[1:], *LONG[:2], "seed=0,1", "hydra/launcher=local")
    started = start(tmp_path, *sweep, "hydra.launcher.slots=2")
    runs = wait_for(lambda: two if len(two := list_runs(tmp_path / "outputs/runs")) == 2 else None)
    wait_for(lambda: all(run.progress_file.exists() for run in runs))
    parents = {psutil.Process(run.request().pid).parent() for run in runs}
    assert [one.parent().pid for one in parents] == [started.process.pid]
    started.send(signal.SIGKILL)
    assert started.wait().killed
    wait_for(lambda: not any(run.is_running() for run in runs))
    assert all(run.latest.last.exists() for run in runs)
    wait_for(lambda: not any(one.is_running() for one in parents))
