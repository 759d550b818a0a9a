"""What is submitted to a cluster and written down, with commands of SLURM's that are our own."""

import json
import os
import re
import signal

import pytest

from cells import Listener
from cluster import row
from queued import _soon, queue, rows, sweep  # noqa: F401
from reslab.errors import UserError
from reslab.jobs import slurm, slurm_pool, slurm_queue
from reslab.jobs.queued import Queued
from reslab.jobs.slurm import Cluster
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_queue import settle, submit
from reslab.jobs.slurm_sweep import SlurmSweep
from reslab.runs.store import InUseError, list_runs
from reslab.terminal.runs import print_runs


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
