"""`reslab selftest`: a real kill, what must not count as one, and what a broken resume is found by."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from importlib.metadata import version

import psutil
import pytest
import torch
from click.testing import CliRunner

from cells import BEGIN, FINISH, Script
from processes import run, wait_for
from reslab import selftest
from reslab.cli import cli
from reslab.errors import UserError
from reslab.jobs.forkserver import ForkServer
from reslab.jobs.pool import Job
from reslab.runs import checkpoint as files
from reslab.runs.bits import differences
from reslab.runs.checkpoint import LatestCheckpoint
from reslab.runs.store import RunDirectory
from studio import Heard
from training import SMALL, only_run

QUICK = (
    "model=baseline_cnn",
    "model.widths=[4,4,4,4]",
    "model.dropout=0.2",
    "trainer.max_epochs=2",
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.mark.long
def test_a_killed_run_is_proved_to_go_on_to_the_same_bits_and_nothing_is_left(
    in_empty_folder, temporary
):
    done = CliRunner().invoke(cli, ["selftest", *QUICK, "--draw", "5"])
    assert done.exit_code == 0, done.output
    step, steps = map(
        int, re.search(r"killed with step (\d+) of (\d+) saved", done.output).groups()
    )
    assert 0 < step < steps == 2 * (1257 // 64)
    said = dict(re.findall(r"^  (\w+) +(.*)$", done.stdout, re.M))
    assert said["device"].startswith("cpu, ")
    assert (said["precision"], said["trainer"]) == ("32-true", "exact")
    assert (said["threads"], said["torch"]) == ("1", version("torch"))
    assert shlex.split(said["again"]) == ["reslab", "selftest", *QUICK, "--draw=5"]
    assert [line[:6] for line in done.stderr.splitlines()] == ["1 of 3", "2 of 3", "3 of 3"]
    assert not list(temporary.iterdir())
    assert os.listdir() == [temporary.name]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """What forks a selftest's processes, as those of a sweep are: it imports but once."""
    return ForkServer(tmp_path_factory.mktemp("served"), os.environ)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param("optimizer_states", marks=pytest.mark.slow),
        pytest.param("random_states", marks=pytest.mark.long),
    ],
)
def test_a_resume_that_restores_something_else_is_found(part, server, temporary, monkeypatch):
    """The checkpoint is another one, whole and signed, between the kill and the resume."""
    monkeypatch.setattr(selftest, "Job", partial(Job, server=server))
    original = LatestCheckpoint.load

    def spoilt(latest):
        path, checkpoint, problems = original(latest)
        if part == "random_states":
            checkpoint[part]["torch"] = torch.manual_seed(1).get_state()
        else:
            for state in checkpoint[part][0]["state"].values():
                state["exp_avg"] *= 1.0001
        files.save(checkpoint, path)
        return path, checkpoint, problems

    monkeypatch.setattr(LatestCheckpoint, "load", spoilt)  # in this process alone
    done = CliRunner().invoke(cli, ["selftest", *QUICK, "--draw", "1"])
    assert done.exit_code == 1, done.output
    assert "OTHER BITS: killed with step" in done.output
    assert re.search(
        r"differs +metrics.csv from epoch \d on, which ends with step \d+:", done.output
    )
    assert re.search(r"differs +weights: \d+ differ, by [\d.e-]+ at the most, first", done.output)
    assert "went on to other bits" in str(done.exception) + done.output
    assert not list(temporary.iterdir())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished run that has kept its state."""
    folder = tmp_path_factory.mktemp("kept")
    asked = ("train", *SMALL, "logger=none", "trainer.max_epochs=2", "keep_state=true")
    assert run(folder, *asked).code == 0
    return RunDirectory(only_run(folder))


def spoil(run, part, change):
    checkpoint = files.load(run.state_kept)
    change(checkpoint[part])
    files.save(checkpoint, run.state_kept)


def by_a_bit(state):
    tensor = next(iter(state.values()))
    tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(torch.inf))


CHANGES = {
    "weights: 1 differ, by ": lambda run: spoil(run, "state_dict", by_a_bit),
    "optimizer: 1 differ": lambda run: spoil(
        run, "optimizer_states", lambda states: states[0]["state"][0].update(step=torch.tensor(7.0))
    ),
    "random states: 1 differ": lambda run: spoil(
        run, "random_states", lambda states: states["torch"].view(-1)[0].add_(1)
    ),
    "gradients.csv differs": lambda run: run.gradients_file.write_text("epoch\n"),
    "predictions.npz differs": lambda run: run.predictions_file.write_bytes(b""),
    "metrics.csv has 1 epochs in place of 2": lambda run: run.metrics_file.write_text(
        "".join(run.metrics_file.read_text().splitlines(keepends=True)[:-1])
    ),
    "best.ckpt: 1 differ": lambda run: files.save(
        {"state_dict": files.load(run.best)["state_dict"] | {"new": torch.zeros(1)}}, run.best
    ),
}


def test_a_run_has_the_bits_of_its_copy_whatever_the_clocks_said(kept, tmp_path):
    copy = RunDirectory(shutil.copytree(kept.path, tmp_path / "copy"))
    text = copy.metrics_file.read_text()
    head, *rows = text.splitlines()
    at = head.split(",").index("seconds")
    rows = [row.split(",") for row in rows]
    later = [",".join([*row[:at], "999.5", *row[at + 1 :]]) for row in rows]
    copy.metrics_file.write_text("\n".join([head, *later, ""]))
    assert copy.metrics_file.read_text() != text
    assert list(differences(copy, kept)) == []


@pytest.mark.parametrize("said", CHANGES)
def test_each_part_that_differs_by_a_bit_is_named(said, kept, tmp_path):
    copy = RunDirectory(shutil.copytree(kept.path, tmp_path / "copy"))
    CHANGES[said](copy)
    (line,) = differences(copy, kept)
    assert line.startswith(said)


ENDS_AT_ONCE = f"""{BEGIN}
(run / "metrics.csv").write_text("epoch,step\\n1,20\\n")
{FINISH}"""
GOES_ON = f"""{BEGIN}
time.sleep(60)
"""


@pytest.fixture
def scripted(monkeypatch):
    """Has lines in place of trainings."""

    def have(script):
        def cell(folder, name, asked):
            return Script((script,), RunDirectory(folder / name), name)

        monkeypatch.setattr(selftest, "_cell", cell)

    return have


def test_a_kill_that_comes_too_late_is_drawn_again_and_never_a_proof(scripted, temporary):
    scripted(ENDS_AT_ONCE)
    heard = Heard()
    with pytest.raises(UserError, match="at its end before it was killed, 3 times: give it more"):
        selftest.prove([], 1, heard)
    assert len([line for line in heard.said if "another step is drawn" in line]) == 3
    assert not list(temporary.iterdir())


def test_a_run_that_fails_is_one_line_with_its_reason(scripted, temporary):
    scripted("import sys; sys.exit('reslab: the disk is full')")
    with pytest.raises(UserError, match=r"has not come to its end: the disk is full$"):
        selftest.prove([], 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["modle=x"], "there is no option modle; did you mean model?"),
        (["seed=0,1"], "several values are a sweep"),
        (["optimizer.lr=-1"], "optimizer.lr must be a number above 0"),
        (["bogus"], "bogus: what changes a run is written KEY=VALUE"),
    ],
)
def test_what_is_refused_is_one_line_before_anything_is_trained(arguments, said, temporary):
    done = CliRunner().invoke(cli, ["selftest", *arguments])
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)
    assert not list(temporary.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "signum", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_a_signal_leaves_no_process_and_no_folder(signum, temporary):
    """While a run is under way, whose process is in a session of its own."""
    with subprocess.Popen([sys.executable, "-m", "reslab", "selftest", *QUICK]) as process:
        (child,) = wait_for(psutil.Process(process.pid).children)
        assert list(temporary.iterdir())
        process.send_signal(signum)
        assert process.wait() == (130 if signum == signal.SIGINT else 143)
    wait_for(lambda: not child.is_running(), 60)  # one that has only begun sees that nobody is left
    assert not list(temporary.iterdir())
