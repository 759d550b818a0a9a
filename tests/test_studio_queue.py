"""The studio's queue, whose entries' processes only sleep here."""

import os
import shutil
import signal
import time
from dataclasses import replace

import pytest

from reslab.errors import UserError
from reslab.jobs.claims import claimed
from reslab.jobs.slots import find_slots
from reslab.runs.store import RunDirectory
from reslab.studio.entries import Entry
from reslab.studio.queue import Queues, slots_for
from studio import until, write_run


@pytest.fixture
def queues(tmp_path, sleeping):
    made = []

    def make(others=frozenset):
        made.append(Queues(tmp_path / "runs", lambda: set(others())))
        return made[-1]

    yield make
    for entry in made[-1].read().running():
        os.kill(entry.pid, signal.SIGKILL)


def entries(*names, **more):
    return [Entry(name, ("seed=0",), ".", **more) for name in names]


def running(queues):
    return [entry.name for entry in queues.read().running()]


def test_entries_begin_in_their_order_as_many_as_go_at_once(queues):
    one = queues()
    one.add(entries("a", "b", "c", "d"))
    ids = {entry.name: entry.id for entry in one.read().entries}
    one.set_order([ids["c"], ids["a"], ids["d"], ids["b"]])
    one.work()
    assert running(one) == ["c"]
    one.set_at_once(2)
    one.work()
    assert running(one) == ["c", "a"]
    assert len({entry.slot for entry in one.read().running()}) == 2
    one.take_out([ids["c"], ids["d"]])
    until(lambda: one.work() or running(one) == ["a", "b"])
    assert [entry.name for entry in one.read().entries] == ["a", "b"]
    with pytest.raises(UserError, match="from 1 to"):
        one.set_at_once(0)


def test_a_server_that_is_started_again_goes_on_with_the_queue(queues):
    one = queues()
    one.add(entries("a", "b"))
    one.work()
    two = queues()
    two.work()
    assert running(two) == ["a"], "it lives and is not begun twice"
    os.kill(two.read().running()[0].pid, signal.SIGKILL)
    until(lambda: two.work() or running(two) == ["b"])
    (failed,) = [entry for entry in two.read().entries if entry.state == "failed"]
    assert failed.name == "a"
    assert failed.reason


def test_two_servers_of_one_folder_begin_an_entry_once(queues):
    one, two = queues(), queues()
    one.add(entries("a", "b"))
    one.work()
    two.work()
    one.work()
    assert running(one) == running(two) == ["a"]


def test_what_was_begun_elsewhere_counts(queues):
    others = {"in-a-terminal"}
    one = queues(lambda: others)
    one.add(entries("a"))
    one.work()
    assert running(one) == []
    others.clear()
    one.work()
    assert running(one) == ["a"]


def test_an_entry_waits_for_a_gpu_that_another_command_has_and_says_so(queues, machine):
    machine("0")
    slots_for.cache_clear()
    one = queues()
    one.add(entries("a"))
    with claimed(find_slots()[0]):
        one.work()
        (entry,) = one.read().entries
        assert entry.state == "waiting"
        assert entry.reason == "waits: GPU 0 has a run of another command's"
    one.work()
    (entry,) = one.read().entries
    assert (entry.state, entry.reason) == ("running", "")
    slots_for.cache_clear()


def test_more_at_once_go_beside_one_that_has_the_gpu_alone_if_it_is_the_queue_s(queues, machine):
    machine("0")
    slots_for.cache_clear()
    one = queues()
    one.add(entries("a", "b"))
    one.work()
    assert running(one) == ["a"]
    one.set_at_once(2)
    one.work()
    assert running(one) == ["a", "b"]
    assert {entry.gpu for entry in one.read().running()} == {"0"}
    slots_for.cache_clear()


def test_a_refused_start_says_why_in_the_queue_and_among_the_runs(queues, tmp_path):
    one = queues()
    one.add([Entry("a", ("refused",), "."), *entries("b")])
    one.work()
    until(lambda: one.work() or running(one) == ["b"])
    failed, _ = one.read().entries
    assert failed.state == "failed"
    assert failed.reason == "optimizer.lr must be positive"
    run = RunDirectory(tmp_path / "runs/a")
    assert run.state() == "failed"
    assert run.failure_file.read_text().startswith("optimizer.lr must be positive")
    one.add(entries("a"))
    assert [entry.state for entry in one.read().entries] == ["running", "waiting"]


def test_a_run_that_was_killed_is_interrupted_in_the_queue_as_among_the_runs(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    write_run(tmp_path / "runs", "a")  # by now it has begun
    os.kill(entry.pid, signal.SIGKILL)
    until(lambda: one.work() or running(one) == [])
    (entry,) = one.read().entries
    assert entry.state == RunDirectory(tmp_path / "runs/a").state() == "interrupted"
    assert entry.reason.startswith("killed by signal 9")
    one.add(entries("a"))
    assert [entry.state for entry in one.read().entries] == ["waiting"]


@pytest.mark.parametrize("asked", [False, True])
def test_a_run_of_another_server_s_that_was_killed_stays_in_the_queue_to_say_so(
    queues, tmp_path, asked
):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    write_run(tmp_path / "runs", "a")
    if asked:
        with one.changed() as queue:
            queue.put(replace(entry, stopping=True))
    os.kill(entry.pid, signal.SIGKILL)
    two = queues()
    until(lambda: two.work() or running(two) == [])
    assert [(one.name, one.state) for one in two.read().entries] == (
        [] if asked else [("a", "interrupted")]
    )
    assert all(one.reason for one in two.read().entries)


def test_a_run_of_another_server_s_that_is_finished_leaves_nothing_of_its_process(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    output = entry.cell(one.runs_dir).output
    assert output.exists()
    write_run(tmp_path / "runs", "a", test=0.9)
    os.kill(entry.pid, signal.SIGKILL)
    two = queues()
    until(lambda: two.work() or running(two) == [])
    assert two.read().entries == []
    assert not output.exists()


def test_a_run_is_not_put_into_the_queue_twice(queues):
    one = queues()
    one.add(entries("a"))
    with pytest.raises(UserError, match="a is in the queue already"):
        one.add(entries("a"))


def test_a_run_that_was_stopped_goes_on_at_once_whoever_looks_after_it(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    os.kill(entry.pid, signal.SIGKILL)
    two = queues()
    until(lambda: not entry.is_alive(tmp_path / "runs"))
    two.add(entries("a"))
    assert [entry.state for entry in two.read().entries] == ["waiting"]


def test_a_copy_of_a_queue_has_no_hold_on_what_the_other_has_begun(queues, tmp_path):
    one = queues()
    one.add(entries("a"))
    one.work()
    (entry,) = one.read().entries
    copy = Queues(shutil.copytree(one.runs_dir, tmp_path / "copy"), set)
    copy.take_out([entry.id])
    copy.work()
    assert running(copy) == [], "nothing goes on in the copy"
    time.sleep(0.3)  # which is more than it takes to die of a signal
    assert entry.is_alive(one.runs_dir)
    two = queues()  # of another server, which has not begun it
    two.take_out([entry.id])
    until(lambda: not entry.is_alive(two.runs_dir))


def test_a_damaged_queue_is_named(queues):
    one = queues()
    one.add(entries("a"))
    one.file.write_text('{"entries": [{"names": 3}]')
    with pytest.raises(UserError, match="is damaged"):
        one.read()
    one.file.unlink()
