"""What is submitted to a cluster and written down, with commands of SLURM's that are our own."""

import errno
import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cells import Listener
from cluster import row
from processes import wait_for
from reslab.errors import UserError
from reslab.jobs import slurm, slurm_pool, slurm_queue, slurm_sweep
from reslab.jobs.queued import Queued
from reslab.jobs.slurm import Cluster
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_queue import settle, submit
from reslab.jobs.slurm_script import chunks, script
from reslab.jobs.slurm_sweep import SlurmSweep
from reslab.runs.control import resume, stop
from reslab.runs.store import InUseError, RunDirectory, list_runs
from reslab.studio import control
from reslab.terminal.runs import print_runs
from studio import served, write_run

HERE = Cluster("here", 3)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(slurm_pool, "SECONDS_BETWEEN_QUESTIONS", 0.05)
    monkeypatch.setattr(slurm_pool, "SECONDS_FOR_FILES", 0.2)
    monkeypatch.setattr(slurm_sweep, "SECONDS_BETWEEN_LOOKS", 0.01)


def queue(cells, **options):
    return [(job, len(part)) for job, part in submit(cells, SlurmOptions(**options), HERE)]


def rows(cells, *states, **more):
    """What squeue says of cells that were submitted."""
    written = [Queued.read(cell.directory) for cell in cells]
    lines = [row(one.name, one.index, state, **more) for one, state in zip(written, states)]
    return "\n".join(lines) + "\n"


def sweep(cells, **options):
    listener = Listener()
    swept = SlurmSweep(cells, SlurmOptions(**options), listener).run()
    return {end.cell.title: end for end in swept.ends}, listener.said


# The script


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


# What squeue says


def test_columns_are_told_apart_whatever_is_in_them():
    text = "\n".join(
        [
            row("reslab-1", 0, "RUNNING", node="n[1-2]"),
            row("reslab-1", 12, "PENDING", job="99", reason="ReqNodeNotAvail, May be reserved"),
            row("reslab-2", 3, "FAILED", status=143 << 8),
            row("reslab-2", 4, "FAILED", status=9),
            row("reslab-3", "N/A", "PENDING"),
        ]
    )
    tasks = slurm.parse(text)
    assert tasks.keys() == {("reslab-1", 0), ("reslab-1", 12), ("reslab-2", 3), ("reslab-2", 4)}
    assert (tasks["reslab-1", 0].is_running, tasks["reslab-1", 0].reason) == (True, "n[1-2]")
    waiting = tasks["reslab-1", 12]
    assert (waiting.job, waiting.reason) == ("99_12", "ReqNodeNotAvail, May be reserved")
    assert not waiting.is_over
    assert tasks["reslab-2", 3].was_stopped
    assert tasks["reslab-2", 4].end == "killed by signal 9 (Killed)"


# What is written down


def test_what_is_queued_is_listed_is_not_submitted_again_and_comes_in_arrays_in_turn(
    make, commands, tmp_path, capsys
):
    cells = [make(name, "") for name in "abcd"]
    assert queue(cells, array_parallelism=2) == [("7", 3), ("7", 1)]
    assert [one.split()[1:] for one in commands.asked("sbatch")] == [
        [],
        ["--dependency=afterany:7"],
    ]
    assert all(cell.directory.state() == "queued" for cell in cells)
    names = {Queued.read(cell.directory).name for cell in cells}
    assert {re.search("--job-name=(.*)", text)[1] for text in commands.given()} == names
    print_runs(list_runs(tmp_path), tmp_path)
    assert capsys.readouterr().out.count("queued") == 4

    commands.says("squeue", rows(cells, *["PENDING"] * 4))
    assert queue([*cells, make("e", "")]) == [("7", 1)]


def test_without_a_limit_no_array_waits_for_another(make, commands):
    assert len(queue([make(name, "") for name in "abcd"])) == 2
    assert [one.split()[1:] for one in commands.asked("sbatch")] == [[], []]


def test_a_submission_that_was_killed_before_sbatch_was_asked_is_made_by_the_next(make, commands):
    cell = make("a", "")
    commands.does("sbatch", "kill -9 $PPID; sleep 1")
    child = os.fork()
    if not child:
        try:
            queue([cell])
        finally:
            os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert cell.directory.state() == "queued", "nobody knows better yet"
    commands.does("sbatch", "echo 8")
    assert queue([cell]) == [("8", 1)]


@pytest.mark.parametrize(
    ("state", "more", "reason"),
    [
        ("CANCELLED", {}, "canceled, its last line: at step 7"),
        ("TIMEOUT", {}, "out of time, its last line: at step 7"),
        ("OUT_OF_MEMORY", {}, "out of memory, its last line: at step 7"),
        ("NODE_FAIL", {}, "its node failed, its last line: at step 7"),
        ("FAILED", {"status": 256}, "at step 7"),
        ("FAILED", {"status": 11}, "killed by signal 11 (Segmentation fault), its last line: at"),
        (None, {}, "its job is no longer in the queue, its last line: at step 7"),
    ],
)
def test_what_has_left_the_queue_says_how_and_keeps_what_it_printed(
    make, commands, tmp_path, state, more, reason
):
    cell = make("a", "")
    queue([cell])
    output = tmp_path / ".slurm" / f"{Queued.read(cell.directory).name}_0.txt"
    said = "at step 7\nslurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***\n"
    output.write_text(said)
    commands.says("squeue", rows([cell], state, **more) if state else "")
    settle([cell.directory])
    assert cell.directory.state() == "failed"
    assert cell.directory.why().startswith(reason)
    assert (cell.output.read_text(), output.exists()) == (said, False)
    commands.says("squeue", "")
    assert queue([cell]) == [("7", 1)]


def test_what_slurm_has_forgotten_its_accounts_may_know(make, commands):
    cells = [make(name, "") for name in "abc"]
    queue(cells)
    name = Queued.read(cells[0].directory).name
    lines = [
        f"{name}|7_0|CANCELLED by 1000|0:15",
        f"{name}|7_1|OUT_OF_MEMORY|0:125",
        f"{name}|7_[2-9]|PENDING|0:0",
        f"{name}|7_2|OUT_OF_MEMORY",
        f"{name}|7_2|FAILED|?:?",
        f"{name}|+|FAILED|1:0",
        "sacct: warning: a line of its own",
        "",
    ]
    commands.says("sacct", "\n".join(lines) + "\n")
    commands.says("squeue", rows(cells[2:], "PENDING"))
    settle([cell.directory for cell in cells])
    assert [cell.directory.why() for cell in cells] == ["canceled", "out of memory", ""]
    assert cells[2].directory.state() == "queued"


@pytest.mark.parametrize(
    ("places", "meant"),
    [
        ("[0-2]", "abc"),
        ("[0-2%1]", "abc"),
        ("[0,2]", "ac"),
        ("[0,1-2%4]", "abc"),
        ("[0-2:2]", "ac"),
        ("[2]", "c"),
        ("[7-9]", ""),
        ("[...]", ""),
    ],
)
def test_an_array_that_was_canceled_before_it_had_begun_is_one_line_of_the_accounts(
    places, meant, make, commands
):
    cells = [make(name, "") for name in "abc"]
    queue(cells)
    name = Queued.read(cells[0].directory).name
    commands.says("sacct", f"{name}|1234_{places}|CANCELLED by 1000|0:0\n")
    settle([cell.directory for cell in cells])
    for cell in cells:
        known = cell.title in meant
        assert cell.directory.why() == ("canceled" if known else slurm_queue.LOST)


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_whose_a_job_is_the_system_says_and_not_the_environment(name, make, commands, monkeypatch):
    cell = make("a", "")
    queue([cell])
    monkeypatch.setenv(name, "somebody")
    settle([cell.directory])
    assert cell.directory.state() == "failed", "it is still one's own, and has left the queue"


def test_a_user_without_a_name_is_known_by_the_number(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert slurm.user() == "2147483641"


def test_jobs_of_others_and_of_other_clusters_are_left_to_these(make, commands, monkeypatch):
    cells = [make("theirs", ""), make("there", ""), make("ours", "")]
    monkeypatch.setattr(slurm, "user", lambda: "somebody")
    queue(cells[:1])
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{commands.folder}{os.pathsep}{os.environ['PATH']}")
    list(submit(cells[1:2], SlurmOptions(), Cluster("there")))
    queue(cells[2:])
    commands.says("squeue", "")
    settle([cell.directory for cell in cells])
    assert [cell.directory.state() for cell in cells] == ["queued", "queued", "failed"]
    assert queue(cells[:2]) == []


@pytest.mark.parametrize("wait", [True, False])
def test_a_sweep_leaves_what_others_have_queued_to_them_however_long_it_is_not_to_be_seen(
    make, commands, wait, monkeypatch
):
    """Their jobs are not in the queue that is asked here, or not by the name of anybody here."""
    theirs, there, ours = (make(name, "") for name in ("theirs", "there", "ours"))
    for cell, cluster, user in ((theirs, "here", "somebody"), (there, "faraway", slurm.user())):
        cell.directory.path.mkdir()
        Queued(cluster, user, "reslab-1", 0, "/nowhere").write(cell.directory)
    before = [one.directory.job_file.read_bytes() for one in (theirs, there)]
    monkeypatch.setattr(slurm_pool, "SECONDS_FOR_FILES", -1.0)
    ends, said = sweep([theirs, there, ours], wait=wait)
    assert (ends["theirs"].state, ends["theirs"].reason) == (
        "elsewhere", "queued by somebody on here"
    )  # fmt: skip
    assert (ends["there"].state, ends["there"].reason) == (
        "elsewhere", f"queued by {slurm.user()} on faraway"
    )  # fmt: skip
    assert "[1/3] theirs: queued by somebody on here" in said
    assert [one.directory.job_file.read_bytes() for one in (theirs, there)] == before
    (submitted,) = commands.given()
    assert "--array=0-0\n" in submitted
    assert not SlurmSweep([theirs], SlurmOptions(), Listener()).pool.may_start(theirs.directory)
    with pytest.raises(InUseError, match="queued by somebody on here"):
        slurm_pool.SlurmPool(SlurmOptions()).start(theirs)


def test_a_cluster_that_does_not_answer_has_lost_nothing(make, commands):
    cell = make("a", "")
    queue([cell])
    commands.does("squeue", "echo slurm_load_jobs error: Unable to contact controller >&2; exit 1")
    settle([cell.directory])
    assert cell.directory.state() == "queued"
    with pytest.raises(UserError, match="squeue: slurm_load_jobs error: Unable to contact"):
        queue([cell])


WHOLE = {"cluster": "here", "user": "me", "name": "reslab-1", "index": 0, "output": "/x"}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b'"name"', b"7", b"not JSON", b"\0" * 40, b"\xff\xfe"),
        *(b"[" * 100_000, json.dumps(WHOLE).encode()[:-9], json.dumps({"name": "x"}).encode()),
        *(json.dumps(WHOLE | {key: None}).encode() for key in WHOLE),
        *(json.dumps(WHOLE | {"index": one}).encode() for one in ("0", 0.0, True, [0])),
        json.dumps(WHOLE | {"tested": "no"}).encode(),
    ],
)
@pytest.mark.parametrize("has_cluster", [True, False])
def test_what_is_written_down_and_spoilt_is_struck_out_and_blocks_nothing(
    content, has_cluster, make, commands, monkeypatch
):
    cell = make("a", "")
    cell.directory.path.mkdir()
    cell.directory.job_file.write_bytes(content)
    assert Queued.read(cell.directory) is None
    if has_cluster:
        assert queue([cell]) == [("7", 1)]
        assert Queued.read(cell.directory) is not None
        return
    monkeypatch.setenv("PATH", "/nowhere")
    settle([cell.directory])
    assert cell.directory.state() == "interrupted"


def test_what_cannot_be_read_at_all_stays_and_is_named(make, commands):
    cell = make("a", "")
    cell.directory.job_file.mkdir(parents=True)  # root, too, cannot read that
    ends, _ = sweep([cell])
    assert ends["a"].state == "failed"
    assert ends["a"].reason == f"{cell.directory.job_file} cannot be read"
    assert cell.directory.job_file.exists()
    assert commands.asked("sbatch") == []


@pytest.mark.parametrize(
    ("state", "tested"), [("COMPLETED", False), ("TIMEOUT", False), ("TIMEOUT", True)]
)
def test_what_was_to_end_before_its_test_is_done_without_a_record_and_nothing_else_is(
    make, commands, state, tested
):
    cell = make("a", "", tested=tested)
    queue([cell])
    cell.directory.untested_file.touch()
    commands.says("squeue", rows([cell], state))
    settle([cell.directory])
    assert not cell.directory.job_file.exists()
    why = cell.directory.why()
    assert why.startswith("out of time") if tested else why == ""


def test_a_job_that_an_older_version_wrote_down_ends_with_the_test(make, commands):
    cell = make("a", "", tested=False)
    queue([cell])
    content = json.loads(cell.directory.job_file.read_text())
    assert content.pop("tested") is False
    cell.directory.job_file.write_text(json.dumps(content))
    assert Queued.read(cell.directory).tested is True


# Waiting


def test_a_sweep_names_each_cell_as_it_begins_and_ends(make, commands, tmp_path):
    cells = [make(name, "") for name in "abc"]
    queue(cells)
    first = rows(cells, "RUNNING", "PENDING", "PENDING", node="n1")
    (tmp_path / "first").write_text(first)
    (tmp_path / "then").write_text(rows(cells, "COMPLETED", "TIMEOUT", "CANCELLED"))
    commands.does(  # asked whether to submit, then what is going on, then again
        "squeue",
        f"""cd {tmp_path}; [ $(wc -l < $0.asked) -gt 2 ] || exec cat first
        touch a/metrics.json b/metrics.json; cat then""",
    )
    ends, said = sweep(cells)
    assert {title: end.state for title, end in ends.items()} == {
        "a": "finished", "b": "finished", "c": "failed"
    }, "what was finished in the time that a preemption left it is finished"  # fmt: skip
    assert said[0] == "[1/3] a: begun on n1 as 7_0"
    assert "[3/3] c: failed: canceled" in said
    assert not any(cell.directory.job_file.exists() for cell in cells)
    assert len(commands.asked("sbatch")) == 1


def test_a_cell_that_is_completed_is_not_said_to_be_queued_again_as_its_files_are_waited_for(
    make, commands, tmp_path, monkeypatch
):
    monkeypatch.setattr(slurm_pool, "SECONDS_FOR_FILES", 30.0)
    cell = make("a", "")
    queue([cell])
    states = ("RUNNING", "SUSPENDED", "RUNNING", "COMPLETED")
    for number, state in enumerate(states, 1):
        (tmp_path / f"{number}.text").write_text(rows([cell], state, node="n1"))
    (tmp_path / "0.text").write_text(rows([cell], "PENDING"))
    commands.does(
        "squeue",
        f"""cd {tmp_path}; asked=$(($(wc -l < $0.asked) - 1))
        [ $asked -lt 8 ] || touch a/metrics.json; cat $((asked < 4 ? asked : 4)).text""",
    )
    ends, said = sweep([cell])
    assert ends["a"].state == "finished"
    assert [line for line in said if "queued again" in line] == []
    assert sum("begun on n1" in line for line in said) == 1


def test_a_look_at_thousands_of_cells_looks_into_some_and_in_turn_into_all(
    make, commands, monkeypatch
):
    monkeypatch.setattr(slurm_pool, "SECONDS_BETWEEN_QUESTIONS", 600.0)
    cells = [make(f"{at:03}", "") for at in range(250)]
    queue(cells)
    commands.says("squeue", rows(cells, *["PENDING"] * 250))
    pool = slurm_pool.SlurmPool(SlurmOptions())
    list(pool.submit(cells))
    pool.ask()
    looked = []
    monkeypatch.setattr(slurm_pool, "is_finished", lambda run, queued: looked.append(run.name))
    for _ in range(3):
        before = len(looked)
        assert pool.look() == []
        assert len(looked) - before <= 100
    assert set(looked) == {f"{at:03}" for at in range(250)}


def test_what_goes_on_and_what_waits_is_shown(make, commands):
    cells = [make(name, "") for name in "abc"]
    queue(cells)
    commands.says("squeue", rows(cells, "RUNNING", "PENDING", "PENDING", node="n1"))
    waiting = SlurmSweep(cells, SlurmOptions(), Listener())
    assert list(waiting.pool.submit(cells)) == []
    waiting.pool.ask()
    assert waiting._watched() == (
        [cells[0].directory.path], "0 of 3 finished, 1 running, 2 queued"
    )  # fmt: skip


def test_without_waiting_each_cell_says_where_it_stands(make, commands):
    cells = [make(name, "") for name in "ab"]
    queue(cells)
    commands.says("squeue", rows(cells, "RUNNING", "PENDING", reason="Resources"))
    ends, said = sweep(cells, wait=False)
    assert [end.state for end in ends.values()] == ["queued", "queued"]
    assert said == [
        "[1/2] a: running as 7_0 (Resources)", "[2/2] b: pending as 7_1 (Resources)"
    ]  # fmt: skip
    assert len(commands.asked("sbatch")) == 1


def test_an_array_that_is_refused_is_the_failure_of_its_cells_alone(make, commands):
    cells = [make(name, "") for name in "abcd"]
    refuse = "echo sbatch: error: QOSMaxSubmitJobPerUserLimit >&2; exit 1"
    commands.does("sbatch", f'case "$*" in *afterany*) {refuse};; esac; cat > /dev/null; echo 7')
    ends, _ = sweep(cells, wait=False, array_parallelism=2)
    assert ends["d"].state == "failed"
    assert ends["d"].reason == "sbatch: error: QOSMaxSubmitJobPerUserLimit"
    assert ends["a"].state == "queued"


def test_one_who_decides_as_they_end_has_a_job_a_cell_and_ends_no_other(make, commands):
    one, other = make("a", ""), make("b", "")
    pool = slurm_pool.SlurmPool(SlurmOptions(array_parallelism=2))
    jobs = [pool.start(cell) for cell in (one, other)]
    assert not pool.has_room
    commands.says("squeue", row(jobs[0].queued.name, 0, "RUNNING", job="7", node="n1"))
    jobs[0].end()
    assert commands.asked("scancel") == ["7_0"]
    commands.says(
        "squeue",
        row(jobs[0].queued.name, 0, "CANCELLED")
        + "\n"
        + row(jobs[1].queued.name, 0, "CANCELLED", job="8"),
    )
    ends = {end.cell.title: (end.state, end.reason) for end in pool.look()}
    assert ends == {"a": ("stopped", "stopped"), "b": ("failed", "canceled")}
    assert pool.has_room


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ESTALE, errno.EACCES])
@pytest.mark.parametrize("what", ["the lock", "what is written down"])
def test_waiting_goes_on_while_a_disk_takes_nothing_and_says_so_once(
    what, number, make, commands, monkeypatch
):
    class Warned(Listener):
        warn = Listener.say

    cell = make("a", "")
    queue([cell])
    commands.says("squeue", rows([cell], "COMPLETED"))
    cell.directory.path.joinpath("metrics.json").touch()
    listener = Warned()
    pool = slurm_pool.SlurmPool(SlurmOptions(), listener)
    pool.start(cell)
    refused = cell.directory.job_file if what == "what is written down" else None

    def refuse(path, *more, **named):
        if refused in (None, path):
            raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as full:
        place = (slurm_queue.locks, "held") if refused is None else (Path, "unlink")
        full.setattr(*place, refuse)
        assert [pool.look() for _ in range(3)] == [[], [], []]
    path = refused or cell.directory.path.parent / ".slurm/lock"
    assert listener.said == [f"cannot write {path}: {os.strerror(number)}; it is tried again"]
    assert [end.state for end in pool.look()] == ["finished"]
    assert not cell.directory.job_file.exists()


def test_a_sweep_without_the_test_ends_with_its_trainings(make, commands, tmp_path):
    cells = [make(name, "", tested=False) for name in "ab"]
    queue(cells)
    (tmp_path / "first").write_text(rows(cells, "RUNNING", "RUNNING"))
    (tmp_path / "then").write_text(rows(cells, "COMPLETED", "FAILED", status=256))
    commands.does(
        "squeue",
        f"cd {tmp_path}; [ $(wc -l < $0.asked) -gt 2 ] || exec cat first; touch a/untested.txt; cat then",
    )
    ends, said = sweep(cells)
    assert {title: end.state for title, end in ends.items()} == {"a": "finished", "b": "failed"}
    assert "[1/2] a: finished" in said


def test_whoever_takes_up_a_job_that_ends_before_the_test_has_to_begin_again(make, commands):
    queue([make("a", "", tested=False)])
    whole = make("a", "")
    pool = slurm_pool.SlurmPool(SlurmOptions())
    assert pool.may_start(whole.directory)
    pool.start(whole)
    whole.directory.untested_file.touch()
    assert [(end.state, end.reason) for end in pool.look()] == [
        ("elsewhere", "the job that had it was to end before its test")
    ]
    pool.start(whole)
    assert len(commands.asked("sbatch")) == 2
    assert Queued.read(whole.directory).tested


def test_a_finished_run_s_job_has_its_place_until_it_has_left_its_node(make, commands):
    cell = make("a", "", tested=False)
    pool = slurm_pool.SlurmPool(SlurmOptions(array_parallelism=1))
    job = pool.start(cell)
    cell.directory.untested_file.touch()
    commands.says("squeue", row(job.queued.name, 0, "COMPLETING"))
    assert [end.state for end in pool.look()] == ["finished"]
    assert (pool.jobs, pool.has_room) == ([], False)
    commands.says("squeue", row(job.queued.name, 0, "COMPLETED"))
    wait_for(lambda: pool.look() or pool.has_room, 5)


def test_where_there_is_no_cluster_a_line_says_so(make, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="there is no scontrol: hydra/launcher=slurm is given wh"):
        sweep([make("a", "")])


# Whoever looks on


def test_the_studio_shows_what_is_queued_and_asks_the_cluster_what_became_of_it(
    make, commands, tmp_path, monkeypatch
):
    monkeypatch.setattr(control, "SECONDS_BETWEEN_QUESTIONS", 0.1)
    runs = tmp_path / "runs"
    write_run(runs, "requeued")
    write_run(runs, "stopped", seed=1)
    cell = replace(make("new", ""), directory=RunDirectory(runs / "new"))
    again = replace(make("requeued", ""), directory=RunDirectory(runs / "requeued"))
    queue([cell, again])
    commands.says("squeue", rows([cell, again], "PENDING", "PENDING"))
    with served(runs) as studio:

        def lines():
            return {one["name"]: one for one in studio.ask("/api/runs").json["lines"]}

        states = [lines()[name]["state"] for name in ("new", "requeued", "stopped")]
        assert states == ["queued", "queued", "interrupted"]
        (seeds,) = (line for name, line in lines().items() if name.startswith("seeds of"))
        assert (seeds["state"], seeds["text"][1]) == ("queued", "1 queued, 1 interrupted")
        commands.says("squeue", rows([cell, again], "CANCELLED", "CANCELLED"))
        wait_for(lambda: lines()["new"]["state"] == "failed")
        assert lines()["new"]["why"] == "canceled"
        assert lines()["requeued"]["state"] == "interrupted"


def test_what_is_queued_is_not_begun_here_beside_it(make, commands):
    cell = make("a", "")
    queue([cell])
    with pytest.raises(UserError, match="is queued: there is nothing to resume"):
        resume(cell.directory)
    with pytest.raises(UserError, match="is not running: it is queued"):
        stop(cell.directory)


def test_starting_over_keeps_what_says_which_job_does_so(make, commands):
    cell = make("a", "")
    queue([cell])
    cell.directory.record_file.write_text("{}")
    cell.directory.checkpoints.mkdir()
    cell.directory.clear()
    assert cell.directory.state() == "queued"
