"""Runs are watched, stopped and gone on with by their names, from wherever one is."""

import getpass
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime

import pytest

from conftest import open_to_others
from processes import run, start, wait_for
from reslab.runs.store import RunDirectory, list_runs
from studio import served
from training import SMALL, assert_same_results, only_run

TRAIN = ("train", *SMALL, "trainer=exact", "logger=none", "checkpoint_every=0")
SPARE = ("spare", 2)  # what goes on in a process of its own imports nothing there
NETWORK = """
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, in_channels, num_classes, width):
        layers = nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()
        pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
        super().__init__(*layers, *pooled)
"""
MODEL = """
_target_: own_networks.Tiny
in_channels: ${dataset.channels}
num_classes: ${dataset.num_classes}
width: 4
"""
ASKED = (
    "model=own",
    "model.width=8",
    "optimizer.lr=0.01",
    "trainer=exact",
    "logger=none",
    "trainer.max_epochs=40",
)


def knows_its_pace(directory):
    progress = directory.progress()
    return progress is not None and progress.seconds_left is not None


def command(*arguments):
    return [sys.executable, "-m", "reslab", *arguments]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of a user's own network, begun in another terminal, watched and stopped by its name."""
    folder, elsewhere = (tmp_path_factory.mktemp(name) for name in ("begun", "elsewhere"))
    run(elsewhere, "runs")  # from here on commands answer at once
    (folder / "conf/model").mkdir(parents=True)
    (folder / "conf/model/own.yaml").write_text(MODEL)
    (folder / "own_networks.py").write_text(NETWORK)
    own = {"PYTHONPATH": f".:{os.environ.get('PYTHONPATH', '')}", "RESLAB_TARGETS": "own_networks"}
    with (folder / "terminal").open("w") as terminal:
        process = subprocess.Popen(
            command("train", "--config-dir", "conf", *ASKED),
            cwd=folder,
            env=os.environ | own,
            stdout=terminal,
            stderr=terminal,
        )
    runs = folder / "outputs/runs"
    (directory,) = wait_for(lambda: [one for one in list_runs(runs) if knows_its_pace(one)])
    process.send_signal(signal.SIGSTOP)  # it is not to come to its end meanwhile
    listed = run(elsewhere, "runs", "--runs-dir", str(runs))
    progress = directory.progress()
    process.send_signal(signal.SIGCONT)
    done = run(elsewhere, "stop", "digits-", "--runs-dir", str(runs))
    assert process.wait(60) == 128 + signal.SIGTERM
    return directory, elsewhere, listed, progress, done


def test_progress_and_time_left_of_a_running_one_are_listed(stopped):
    directory, _, listed, progress, _ = stopped
    assert re.search(rf"{directory.name} running +\d+% +\d+ (s|min)", listed.out), listed.out
    assert 0 <= progress.done < 1
    assert 1 <= progress.epoch <= progress.epochs == 40
    assert 0 < progress.step <= progress.steps_per_epoch == 1257 // 64
    steps = (progress.epoch - 1) * progress.steps_per_epoch + progress.step
    assert progress.done == pytest.approx(steps / (40 * progress.steps_per_epoch))
    assert progress.lr == 0.01
    assert all(0 < step <= progress.step and loss > 0 for step, loss in progress.losses)


def test_a_stopped_run_has_saved_and_is_interrupted(stopped):
    directory, _, _, _, done = stopped
    assert done.code == 0, done.err
    assert f"{directory.path}: interrupted; `reslab resume {directory.name}` goes on" in done.out
    assert directory.state() == "interrupted"
    assert directory.latest.last.exists()


def test_what_it_was_asked_is_on_disk(stopped):
    directory, *_ = stopped
    content = json.loads(directory.request_file.read_text())
    assert content["overrides"] == list(ASKED)
    assert content["command"][-len(ASKED) :] == list(ASKED)
    assert content["folder"] == str(directory.path.parents[2])
    assert content["config_dirs"] == [f"{content['folder']}/conf"]
    assert content["variables"]["RESLAB_TARGETS"] == "own_networks"
    assert content["host"] == os.uname().nodename
    assert (content["recipe"], content["user"]) == (None, getpass.getuser())
    begun = datetime.fromisoformat(content["begun"]).timestamp()
    assert 0 <= begun - content["process_started"] < 120


def test_the_log_is_what_it_printed_without_a_bar_s_repeats(stopped):
    directory, *_ = stopped
    lines = directory.log_file.read_text().splitlines()
    assert lines[0].endswith(directory.name)
    assert "stopping after this step; Ctrl-C again stops at once" in lines
    assert sum(line.startswith("epoch ") for line in lines) == 1
    assert not any(set("\r\x1b") & set(line) for line in lines)


@pytest.mark.long
def test_it_goes_on_from_anywhere_to_what_an_uninterrupted_one_comes_to(stopped, tmp_path):
    directory, elsewhere, *_ = stopped
    own = {"PYTHONPATH": f".:{os.environ.get('PYTHONPATH', '')}", "RESLAB_TARGETS": "own_networks"}
    command_line = ("resume", directory.name, "--runs-dir", str(directory.path.parent))
    refused = run(elsewhere, *command_line).error_line()
    asked = " ".join(f"{name}={own[name]}" for name in ("RESLAB_TARGETS", "PYTHONPATH"))
    assert "runs code of its own: if you trust it" in refused
    assert asked in refused
    resumed = run(elsewhere, *command_line, kill=SPARE, **own)
    assert resumed.code == 0, resumed.err
    assert directory.state() == "finished"
    assert "resuming at step" in directory.log_file.read_text()
    assert directory.log_file.read_text().splitlines()[-1].startswith("test accuracy ")
    folder = directory.path.parents[2]
    whole = ("train", "--config-dir", "conf", *ASKED, f"runs_dir={tmp_path}/outputs/runs")
    assert run(folder, *whole, **own).code == 0
    assert_same_results(directory.path, only_run(tmp_path))
    again = run(elsewhere, "resume", str(directory.path)).error_line()
    assert "is finished: there is nothing to resume" in again


@pytest.fixture(scope="module")
def _interrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted")
    for seed in (0, 1):
        asked = (*TRAIN, "trainer.max_epochs=2", f"seed={seed}")
        assert run(folder, *asked, kill=("step", 10)).killed
    return folder


@pytest.fixture
def interrupted(_interrupted, tmp_path):
    """A folder with two interrupted runs, moved from where they were begun."""
    shutil.copytree(_interrupted, tmp_path / "moved")
    return tmp_path / "moved"


@pytest.mark.long
def test_all_that_were_interrupted_go_on_and_finished_ones_are_left(interrupted):
    done = run(interrupted, "resume", "--all-interrupted", kill=SPARE)
    assert done.code == 0, done.err
    assert [one.state() for one in list_runs(interrupted / "outputs/runs")] == ["finished"] * 2
    nothing = run(interrupted, "resume", "--all-interrupted")
    assert nothing.code == 0
    assert "0 interrupted" in nothing.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signum", "moment"),
    [(signal.SIGHUP, "as it trains"), (signal.SIGTERM, "as it begins")],
)
def test_a_signal_to_the_resuming_process_is_the_run_s(interrupted, moment, signum):
    first = list_runs(interrupted / "outputs/runs")[0]
    if moment == "as it trains":
        first.progress_file.unlink()
    process = start(interrupted, "resume", first.name, kill=SPARE)
    wait_for(lambda: first.is_running() and first.progress())
    process.send(signum)
    assert process.wait(60).code == 128 + signum
    assert first.state() == "interrupted"


def test_a_stop_is_one_also_where_a_library_s_cleaning_up_fails_in_it(tmp_path, monkeypatch):
    from reslab.config import compose
    from reslab.runs import execute
    from reslab.runs.request import Request

    def interrupted_check(cfg):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise AttributeError("'NoneType' object has no attribute 'half_made'")

    monkeypatch.setattr(execute, "check", interrupted_check)
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(SystemExit) as stopped:
        execute.execute(compose(list(SMALL)), directory, Request.here(SMALL, None))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert not directory.failure_file.exists()


@pytest.mark.long
def test_what_is_ignored_stays_ignored(tmp_path):
    """As `nohup` has it: the terminal may go, and the run does not."""
    ignoring = "import signal, sys, os; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(*x)"
    asked = command(*TRAIN, "trainer.max_epochs=40")
    process = subprocess.Popen(
        [sys.executable, "-c", f"x = {asked[0]!r}, {asked!r}; {ignoring}"], cwd=tmp_path
    )
    runs = tmp_path / "outputs/runs"
    (directory,) = wait_for(lambda: [one for one in list_runs(runs) if one.progress()])
    process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert directory.is_running()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM


@pytest.fixture
def running(tmp_path):
    """A run that trains for long, in a process of its own."""
    process = start(tmp_path, *TRAIN, "trainer.max_epochs=500")
    (directory,) = wait_for(
        lambda: [r for r in list_runs(tmp_path / "outputs/runs") if r.progress()]
    )
    yield directory
    process.process.kill()
    process.wait()


def test_a_state_is_true_on_a_read_only_mount_and_for_another_user(running, tmp_path):
    other = tmp_path / "mounted"
    other.mkdir()
    bind = ["mount", "--bind", "-o", "ro", str(running.path), str(other)]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(OSError, match="Read-only"):
            (other / "new").touch()
        assert RunDirectory(other).state() == "running"
        open_to_others(tmp_path)
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            os._exit(RunDirectory(other).state() != "running")
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        subprocess.run(["umount", "-l", str(other)], check=True)


def test_where_the_lock_cannot_be_read_the_process_is_the_proof(running, monkeypatch):
    from reslab import locks

    monkeypatch.setattr(locks, "is_held", lambda path: None)
    assert running.state() == "running"
    content = json.loads(running.request_file.read_text())
    running.request_file.write_text(json.dumps(content | {"process_started": 1.0}))
    assert running.state() == "interrupted", "the number is another process' by now"


def test_what_runs_on_another_host_is_not_stopped_from_here(running, tmp_path):
    content = json.loads(running.request_file.read_text())
    running.request_file.write_text(json.dumps(content | {"host": "another-node"}))
    line = run(tmp_path, "stop", running.name).error_line()
    assert f"runs on another-node (process {content['pid']}), not here" in line
    assert running.state() == "running"


@pytest.mark.slow
def test_a_stop_of_a_copy_reaches_nobody(running, tmp_path, monkeypatch):
    """Also where another process has the copy and has not yet written down that it has."""
    from reslab import locks

    copy = RunDirectory(
        shutil.copytree(
            running.path, tmp_path / "copies/copy", ignore=shutil.ignore_patterns("*.tmp")
        )
    )
    assert copy.request().is_alive, "it names the process of what it was copied from"
    question = json.dumps({"runs": ["copy"]}).encode()
    with served(copy.path.parent) as studio:

        def refusals():
            yield run(tmp_path, "stop", str(copy.path)).error_line()
            answer = studio.ask("/api/runs/stop", question)
            assert answer.status == 422
            yield answer.json["error"]

        for line in refusals():
            assert "copy is not running: it is interrupted" in line
        with copy.locked():
            for line in refusals():
                assert "is run by another process than request.json names" in line
    monkeypatch.setattr(locks, "is_held", lambda path: None)  # as where it cannot be read
    assert copy.state() == "interrupted"
    before = running.progress()
    wait_for(lambda: running.progress().epoch > before.epoch + 1)
    assert running.state() == "running"


def test_what_does_not_run_is_not_stopped(interrupted):
    line = run(interrupted, "stop", "s0").error_line()
    assert "is not running: it is interrupted" in line


def test_a_run_that_was_refused_before_it_had_a_configuration_is_listed_as_failed(tmp_path):
    line = run(tmp_path, *TRAIN, "init_from=nothing").error_line()
    (directory,) = list_runs(tmp_path / "outputs/runs")
    assert not directory.config_file.exists()
    assert directory.state() == "failed"
    assert "failed" in run(tmp_path, "runs").out
    assert directory.failure_file.read_text().splitlines()[0] in line
    assert directory.log_file.read_text().splitlines()[-1].removeprefix("failed: ") in line


@pytest.mark.parametrize("width", [40, 100])
def test_watching_cuts_no_name_on_a_narrow_terminal(running, width):
    from rich.console import Console

    from reslab.terminal.watch import _drawn

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(_drawn([running], {str(running.path): "running"}, width))
    text = console.export_text()
    assert running.name in text.replace("\n", "")
    assert re.search(r"\b\d+/500\b", text)
    assert all(len(line) <= width for line in text.splitlines())


@pytest.mark.slow
def test_watching_ends_with_what_it_watches(running, tmp_path):
    watching = subprocess.Popen(
        command("watch", running.name),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.STDOUT,
    )
    time.sleep(2)
    assert watching.poll() is None
    assert run(tmp_path, "stop", running.name).code == 0
    out, _ = watching.communicate(timeout=30)
    assert watching.returncode == 0, out
    assert re.search(rf"{running.name} +interrupted .* \d+/500", out), out


@pytest.mark.parametrize(
    "name", ["plain", "a b", "it's", r"back\slash", r"both\'", "end\\", "a,[b]=$c"]
)
def test_a_run_goes_on_in_its_own_folder_whatever_that_is_called(name, tmp_path):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from reslab.runs.control import resume_command
    from reslab.runs.request import Request

    directory = RunDirectory(tmp_path / name)
    place = resume_command(directory, Request.here(SMALL, None))[-1]
    value = OverridesParser.create().parse_override(place).value()
    assert str(getattr(value, "text", value)) == str(directory.path)
