"""What a cluster is asked to run: the script of a cell, its options, and how it ends."""

import os
import re
import signal
import subprocess

import pytest

from processes import wait_for
from queued import _soon, sweep  # noqa: F401
from reslab.errors import UserError
from reslab.jobs.slurm import Cluster
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_script import chunks, script


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ["--cpus-per-task=1", "--signal=B:TERM@120", "--requeue", "--open-mode=append"]),
        ({"array_parallelism": 2}, ["--array=0-1%2"]),
        ({"timeout_min": 90, "signal_delay_s": 300}, ["--time=90", "--signal=B:TERM@300"]),
        ({"mem_gb": 1.5, "gpus_per_node": 1}, ["--mem=1536M", "--gpus-per-node=1"]),
        ({"partition": "a b", "account": "x"}, ["--partition='a b'", "--account=x"]),
        (
            {"additional_parameters": {"exclude": "n7", "mail_type": "END", "exclusive": True}},
            ["--exclude=n7", "--mail-type=END", "--exclusive"],
        ),
        ({"additional_parameters": {"signal": "B:TERM@9"}}, ["--signal=B:TERM@9"]),
    ],
)
def test_options_are_sbatch_s_by_its_own_names(make, tmp_path, options, lines):
    text = script([make("a", ""), make("b", "")], SlurmOptions(**options), "name", tmp_path)
    said = [line.removeprefix("#SBATCH ") for line in text.splitlines() if "#SBATCH" in line]
    for line in lines:
        assert said.count(line) == 1
    assert len({line.partition("=")[0] for line in said}) == len(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout_min": 0}, "timeout_min must be at least 1, got 0"),
        ({"array_parallelism": 0}, "array_parallelism must be at least 1"),
        ({"cpus_per_task": 0}, "cpus_per_task must be at least 1"),
        ({"mem_gb": -1}, "mem_gb must be more than 0"),
        ({"timeout_min": 2}, "signal_delay_s=120: the warning would come before"),
    ],
)
def test_what_no_cluster_could_do_is_refused(options, said):
    with pytest.raises(UserError, match=re.escape(f"hydra.launcher.{said}")):
        SlurmOptions(**options).check()


OWN = ("job-name", "array", "output", "error", "open-mode", "requeue", "no-requeue", "chdir")


@pytest.mark.parametrize(
    "key", [*OWN, "dependency", "clusters", "wait", "test-only", "job_name", "open_mode", "outp"]
)
def test_what_the_launcher_itself_says_to_sbatch_is_refused(key, make, commands):
    asked = SlurmOptions(additional_parameters={"exclude": "n7", key: "x"})
    name = f"hydra.launcher.additional_parameters.{key}: sbatch's --"
    with pytest.raises(UserError, match=re.escape(name) + "[a-z-]+ is the launcher's own"):
        asked.check()
    SlurmOptions(additional_parameters={"exclude": "n7", "wait_all_nodes": 1}).check()


@pytest.mark.parametrize(("number", "most"), [(1, 1), (7, 3), (6, 3), (3, 1001), (0, 5)])
def test_parts_of_an_array_are_no_longer_than_it_may_be_and_leave_nothing_out(number, most):
    parts = chunks(range(number), most)
    assert all(0 < len(part) <= most for part in parts)
    assert [one for part in parts for one in part] == list(range(number))


def test_a_cluster_without_arrays_is_told_in_a_line(make, commands):
    commands.says("scontrol", "ClusterName = here\nMaxArraySize = 0\n")
    ends, _ = sweep([make("a", "")], wait=False)
    assert ends["a"].reason.startswith("this cluster takes no arrays of jobs (MaxArraySize=0)")
    assert commands.asked("sbatch") == []
    commands.says("scontrol", "ClusterName = here\nMaxArraySize = (null)\n")
    assert Cluster.here().most == 1001


def submitted(make, folder, text, **environment):
    """Runs the script of one cell as SLURM would; gives the process."""
    path = folder / "script"
    path.write_text(script([make("a 'run'", text)], SlurmOptions(**environment), "n", folder))
    return subprocess.Popen(
        ["bash", path],
        env=os.environ | {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )


READY = """
import os, pathlib, signal, sys, time
run = pathlib.Path(sys.argv[1])
(run / "checkpoints").mkdir(parents=True, exist_ok=True)
def save(signum, frame):
    if SAVES:
        (run / "checkpoints/last.ckpt").write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
(run / "ready").touch()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("saves", "state", "requeued", "said", "status"),
    [
        (True, "RUNNING", True, "its time is over: it is queued again, and goes on", 143),
        (False, "RUNNING", False, "its time was over before it had saved anything", 1),
        (True, "COMPLETING", False, "", 143),  # cancelled, or preempted: SLURM sees to it
    ],
)
def test_a_cell_that_is_warned_is_queued_again_if_it_has_saved_and_nothing_else_ends_it(
    make, commands, tmp_path, saves, state, requeued, said, status
):
    commands.says("squeue", f"{state}\n")
    process = submitted(make, tmp_path, READY.replace("SAVES", str(saves)))
    wait_for((tmp_path / "a 'run'/ready").exists)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert output.startswith(said)
    assert process.returncode == status
    assert commands.asked("scontrol") == (["requeue 7_0"] if requeued else [])
    assert commands.asked("squeue") == ["-h -j 7_0 -o %T"]


def test_a_cell_that_is_not_queued_again_has_failed_and_says_why(make, commands, tmp_path):
    commands.says("squeue", "RUNNING\n")
    commands.does("scontrol", "echo Job is not eligible for requeue >&2; exit 1")
    process = submitted(make, tmp_path, READY.replace("SAVES", "True"))
    wait_for((tmp_path / "a 'run'/ready").exists)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert output == (
        "its time is over, and it could not be queued again: Job is not eligible for requeue\n"
    )
    assert process.returncode == 1


def test_a_run_that_is_stopped_by_its_own_process_is_not_queued_again(make, commands, tmp_path):
    commands.says("squeue", "RUNNING\n")
    process = submitted(make, tmp_path, "exit(143)")
    assert process.wait(20) == 143
    assert commands.asked("scontrol") == []


def test_setup_comes_before_a_cell_with_the_threads_that_it_has(make, tmp_path):
    setup = ["export GREETING='good day'"]
    tell = "import os; print(os.environ['GREETING'], os.environ['OMP_NUM_THREADS'])"
    process = submitted(make, tmp_path, tell, setup=setup, cpus_per_task=3)
    assert process.communicate(timeout=20)[0] == "good day 3\n"
    assert process.returncode == 0
