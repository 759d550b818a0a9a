"""Several searchers at one study: who takes over what, and when."""

import signal
import socket
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

import searching
from processes import wait_for
from reslab import locks
from reslab.errors import UserError
from reslab.jobs.pool import Pool
from reslab.runs.store import RunDirectory
from reslab.search import signs
from reslab.search.plan import plan
from reslab.search.study import Study
from searching import ASKED, TWO, _undrawn, begun, content  # noqa: F401  # fixtures


@pytest.mark.parametrize(
    ("searcher", "held", "is_taken"),
    [
        ("here", False, True),
        ("here", None, False),  # whose folder is not this one
        ("here", True, False),
        ("elsewhere", False, True),
        ("elsewhere", True, False),
        ("elsewhere", None, False),
    ],
)
def test_a_trial_is_taken_over_from_a_searcher_that_is_gone_for_sure(
    searcher, held, is_taken, tmp_path
):
    study = Study(plan([*ASKED, f"runs_dir={tmp_path}", "search.trials=1"]), Pool([]).may_start)
    trial = study.ask()
    host = socket.gethostname() if searcher == "here" else "another"
    lock = study.search.folder / "theirs.lock"
    trial.set_user_attr("searcher", {"host": host, "pid": 1, "lock": lock.name})
    trial.set_user_attr("run", "a-run")
    if held is not None:
        lock.touch()
    with locks.held(lock) if held else nullcontext():
        taken = study.ask()
    assert (taken is not None) == is_taken
    if taken is not None:
        assert taken.params == trial.params
        assert taken.number == 1


@pytest.mark.slow
@pytest.mark.parametrize(("host", "set_by"), [("here", 0), ("another", -3600), ("here", 7200)])
def test_a_searcher_in_another_folder_is_gone_once_it_gives_no_sign(
    host, set_by, tmp_path, monkeypatch
):
    """Whatever its machine, and though somebody sets the time there."""

    def study_on(disk, host):
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        asked = [*ASKED, "search.trials=1", f"search.storage=sqlite:///{tmp_path}/studies.db"]
        return Study(plan([*asked, f"runs_dir={tmp_path}/{disk}"]), Pool([]).may_start)

    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    clock.time = lambda: 1e9 + clock.now
    monkeypatch.setattr(signs, "time", clock)
    theirs, ours = study_on("theirs", host), study_on("ours", "here")
    theirs.give_sign()
    clock.time = lambda: 1e9 + clock.now + set_by
    trial = theirs.ask()
    for _ in range(4):  # it lives for longer than it may be silent
        assert ours.ask() is None
        clock.now += signs.SECONDS_OF_SILENCE - 1
        theirs.give_sign()
    assert ours.ask() is None
    clock.now += signs.SECONDS_OF_SILENCE - 1
    assert ours.ask() is None
    clock.now += 2
    taken = ours.ask()
    assert (taken.number, taken.params) == (1, trial.params)
    with pytest.raises(UserError, match="another searcher has taken over trial 0, since this one"):
        theirs.give_sign()
    ours.give_sign()


def test_a_trial_whose_run_still_saves_is_not_taken_over_yet(tmp_path):
    study = Study(plan([*ASKED, f"runs_dir={tmp_path}", "search.trials=1"]), Pool([]).may_start)
    trial = study.ask()
    trial.set_user_attr("searcher", {"host": socket.gethostname(), "pid": 1, "lock": "theirs.lock"})
    trial.set_user_attr("run", "a-run")
    (study.search.folder / "theirs.lock").touch()
    with RunDirectory(tmp_path / "a-run").locked():
        assert study.ask() is None
    assert study.ask() is not None


@pytest.mark.long
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_is_stopped_goes_on_where_it_was(signum, tmp_path):
    asked = (*ASKED, "search.trials=5", *TWO)
    stopped = searching.start(tmp_path, *asked, SECONDS="0.3")
    wait_for(lambda: stopped.err.read_text().count("begun on") >= 3)
    stopped.send(signum)
    assert stopped.wait(60).code == (-signum if signum == signal.SIGKILL else 130)
    went_on = searching.start(tmp_path, *asked, SECONDS="0.01").wait(60)
    assert went_on.code == 0, went_on.err
    trials = content(tmp_path)["trials"]
    assert [one["state"] for one in trials] == ["finished"] * 5
    names = [name for name, test in begun(tmp_path) if test == "false"]
    assert len(set(names)) == 5, "nothing is lost, and nothing drawn in its place"
    replaced = [one["run"] for one in trials if one["instead_of"] is not None]
    again = {name for name in names if names.count(name) > 1}
    assert again <= set(replaced), "what is finished is not run again"
    assert len(names) <= 5 + len(replaced)
    assert 1 <= len(replaced) <= 2


@pytest.mark.slow
def test_two_searchers_share_a_study_and_one_takes_over_what_a_killed_one_leaves(tmp_path):
    asked = (*ASKED, "search.trials=5", *TWO)
    both = [searching.start(tmp_path, *asked, SECONDS="0.3") for _ in range(2)]
    wait_for(lambda: all(one.err.read_text().count("begun on") >= 2 for one in both))
    both[0].send(signal.SIGKILL)
    both[0].wait(60)
    finished = both[1].wait(60)
    assert finished.code == 0, finished.err
    trials = content(tmp_path)["trials"]
    assert [one["state"] for one in trials] == ["finished"] * 5
    assert sum(one["instead_of"] is not None for one in trials) == 2
    assert len({one["searcher"]["pid"] for one in trials}) in (1, 2)
    assert [test for _, test in begun(tmp_path)].count("true") == 1


@pytest.mark.long
def test_two_searchers_end_with_the_same_best_and_no_trial_too_many(tmp_path):
    asked = (*ASKED, "search.trials=7", *TWO)
    both = [searching.start(tmp_path, *asked, SECONDS="0.1") for _ in range(2)]
    ends = [one.wait(60) for one in both]
    assert [one.code for one in ends] == [0, 0], ends
    trials = content(tmp_path)["trials"]
    assert [one["number"] for one in trials] == list(range(7))
    assert len({one["searcher"]["pid"] for one in trials}) == 2
    names = [name for name, test in begun(tmp_path) if test == "false"]
    assert sorted(names) == sorted(one["run"] for one in trials)
    assert [test for _, test in begun(tmp_path)].count("true") == 1
    assert ends[0].out.splitlines()[0] == ends[1].out.splitlines()[0]
