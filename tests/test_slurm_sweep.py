"""How a sweep on a cluster is followed to its end, with commands of SLURM's that are our own."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cells import Listener
from cluster import row
from processes import wait_for
from queued import _soon, queue, rows, sweep  # noqa: F401
from reslab.errors import UserError
from reslab.jobs import slurm_pool, slurm_queue
from reslab.jobs.queued import Queued
from reslab.jobs.slurm_options import SlurmOptions
from reslab.jobs.slurm_sweep import SlurmSweep
from reslab.runs.control import resume, stop
from reslab.runs.store import RunDirectory
from reslab.studio import control
from studio import served, write_run


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
