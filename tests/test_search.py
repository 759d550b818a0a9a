"""What a search tries, tells, leaves alone and finds."""

import json
import math
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
import yaml

from cells import Listener
from processes import run, start, wait_for
from reslab import cli
from reslab.config import compose, folder_added
from reslab.errors import UserError
from reslab.runs.identity import identity
from reslab.runs.outcome import UNTESTED
from reslab.runs.store import RunDirectory, list_runs
from reslab.runs.trained import values_of
from reslab.search.app import search
from reslab.search.plan import plan
from reslab.search.recipe import write_recipe
from reslab.search.record import goes_on, without_secrets
from reslab.search.searcher import Searcher
from searching import ASKED, DROPOUT, TWO, _undrawn, begun, content, drawn, faked  # noqa: F401  # fixtures
from training import SMALL, assert_same_results

GRID = (
    *(*SMALL, "trainer=cpu", "trainer.max_epochs=6"),
    *("search/sampler=grid", "search.trials=9"),
)


GOOD_FIRST = "search.seed=9"  # of a grid of two by two


@pytest.mark.long
def test_trials_side_by_side_leave_the_test_set_to_the_best_and_the_result_is_a_recipe(
    faked,  # noqa: F811
    drawn,  # noqa: F811
):
    listener = Listener()
    asked = [*ASKED, "search.trials=6", *TWO]
    found = search(asked, listener)
    told = content(faked)
    trials = told["trials"]
    assert [one["number"] for one in trials] == list(range(6))
    assert {one["state"] for one in trials} == {"finished"}
    for one in trials:  # what they came to, by the lines that they ran
        assert 1e-4 <= one["chosen"]["optimizer.lr"] <= 1e-1
        assert one["value"] == one["chosen"]["optimizer.lr"] * (1 - 0.5**3)
        assert sum(line.startswith(f"trial {one['number']}: ") for line in listener.said) == 2
    best = max(trials, key=lambda one: one["value"])
    assert (found.best.number, found.directory.name) == (best["number"], best["run"])
    assert plan(shlex.split(told["goes_on"])[2:]).asked == plan(asked).asked
    assert (told["best"], told["best_run"]) == (best["number"], best["run"])
    tested = [(name, test) for name, test in begun(faked) if test == "true"]
    assert tested == [(best["run"], "true")]
    assert len(begun(faked)) == 7
    records = [path.parent.name for path in faked.glob("outputs/runs/*/metrics.json")]
    assert records == [best["run"]]

    (folder,) = faked.glob("outputs/runs/searches/*")
    names = {path.name for path in folder.iterdir() if "lock" not in path.name}
    pictures = {"history.png", "importance.png", "search.html"}
    assert names == {"conf", "journal.log", "search.json", *pictures}
    assert math.isclose(sum(told["importances"].values()), 1)
    assert max(told["importances"], key=told["importances"].get) == "optimizer.lr"
    page = (folder / "search.html").read_text()
    assert all(one["run"] in page for one in trials)
    assert "<script src=" not in page
    assert '<link rel="' not in page

    assert list(found.command[:2]) == ["reslab", "train"]
    with folder_added(Path(found.command[-2].partition("=")[2])):
        recipe = compose(list(found.command[-1:]))
    assert identity(recipe) == identity(compose(best["overrides"]))
    assert best["run"].endswith(identity(recipe))

    again = search(asked, listener)
    assert again.best.number == found.best.number
    assert len(begun(faked)) == 7, "nothing is run twice"


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        ("recipe=resnet3", "dataset=digits", "ablation=no_skip", "+trainer.limit_train_batches=2"),
        ("recipe=liu_goh/resnet18", "dataset=digits", "optimizer=adam,sgd", "~model.dropout"),
        ("model=baseline_cnn", "augment=flip,crop_flip", "model.widths=[8,8],[8,16]"),
    ],
    ids=["recipe and ablation", "groups chosen and left out", "groups and lists"],
)
def test_a_recipe_is_of_the_same_identity_as_its_run(asked, in_empty_folder):
    searched = plan([*asked, "seed=0,1"])
    params = {key: getattr(one, "texts", ["0"])[-1] for key, one in searched.bounds.items()}
    overrides = searched.overrides(params)
    command = write_recipe(searched, overrides, ["found"])
    with folder_added(Path(command[-2].partition("=")[2])):
        assert identity(compose(command[-1:])) == identity(compose(overrides))


@pytest.mark.long
def test_a_search_goes_on_with_more_trials_as_one_of_so_many_would_have(faked):  # noqa: F811
    for folder, numbers in (("steps", (3, 5)), ("whole", (5,))):
        for number in numbers:
            search([*ASKED, f"runs_dir={folder}/runs", f"search.trials={number}"])
    ours, theirs = (
        json.loads(next(faked.glob(f"{name}/runs/searches/*/search.json")).read_text())["trials"]
        for name in ("steps", "whole")
    )
    assert [one["chosen"] for one in ours] == [one["chosen"] for one in theirs]
    assert len({one["run"] for one in ours}) == 5, "no draw is repeated"


@pytest.mark.slow
def test_a_trial_that_is_worse_than_others_were_is_pruned_and_not_tested(faked, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SECONDS", "0.1")
    listener = Listener()
    pruner = ("search.pruner.n_startup_trials=1", "search.pruner.n_warmup_steps=0", GOOD_FIRST)
    search([*GRID, "optimizer.lr=0.1,1e-4", "model.dropout=0.0,0.2", *pruner], listener)
    trials = content(faked)["trials"]
    assert len(trials) == 4, "a grid has no more than its combinations"
    assert [one["chosen"]["optimizer.lr"] for one in trials] == ["0.1", "0.1", "0.0001", "0.0001"]
    for one in trials[2:]:
        assert (one["state"], one["epochs"] < 6) == ("pruned", True)
        last = [line for line in listener.said if line.startswith(f"trial {one['number']}:")][-1]
        assert last.endswith(f"pruned after epoch {one['epochs']}")
        assert not (faked / "outputs/runs" / one["run"] / "metrics.json").exists()


@pytest.mark.slow
def test_a_failed_trial_is_named_and_the_same_command_tries_it_again(faked):  # noqa: F811
    asked = [*GRID, "optimizer.lr=0.01,0.02", "model.dropout=0.0,0.7"]
    listener = Listener()
    search(asked, listener)
    failed = [one for one in content(faked)["trials"] if one["state"] == "failed"]
    assert [one["chosen"]["model.dropout"] for one in failed] == ["0.7", "0.7"]
    assert {one["reason"] for one in failed} == {"the disk is full"}
    said = [line for line in listener.said if line.endswith(": failed: the disk is full")]
    assert [line.split(":")[0] for line in said] == [f"trial {one['number']}" for one in failed]
    assert len(begun(faked)) == 5
    search(asked, listener)
    trials = content(faked)["trials"]
    assert len(trials) == 4
    assert {one["instead_of"] for one in trials} == {None, *(one["number"] for one in failed)}
    assert len(begun(faked)) == 7, "what is finished is not run again"


def test_a_trial_whose_metric_is_no_number_has_failed_and_without_others_so_has_the_search(faked):  # noqa: F811
    with pytest.raises(UserError, match="no trial has come to its end: val/accuracy is nan"):
        search([*GRID, "optimizer.lr=0.01,0.02", "model.dropout=0.6"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "torn", [b'{"op_code":6,"worker_id":"a', b"\0" * 64], ids=["half", "zeros"]
)
def test_a_line_that_a_crash_cut_off_does_not_end_the_study(faked, torn):  # noqa: F811
    search([*ASKED, "search.trials=2"])
    (journal,) = faked.glob("outputs/runs/searches/*/journal.log")
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    search([*ASKED, "search.trials=3"])
    assert journal.read_bytes().startswith(whole + b"{")
    assert len(content(faked)["trials"]) == 3
    assert len({run for run, _ in begun(faked)}) == 3


@pytest.mark.slow
def test_equal_trials_are_run_once(faked):  # noqa: F811
    asked = [*GRID, "optimizer.lr=0.01,0.02", "model.dropout=0.0", *TWO]
    search(["search/sampler=random" if "sampler" in one else one for one in asked])
    trials = content(faked)["trials"]
    assert len(trials) == 9
    assert {one["state"] for one in trials} == {"finished"}
    assert sorted(test for _, test in begun(faked)) == ["false", "false", "true"]


@pytest.mark.slow
def test_a_database_may_have_the_study_and_its_password_is_not_written_down(faked):  # noqa: F811
    search([*ASKED, "search.trials=2", f"search.storage=sqlite:///{faked}/studies.db"])
    assert (faked / "studies.db").exists()
    assert not list(faked.glob("outputs/runs/searches/*/journal.log"))
    assert without_secrets("postgresql://me:secret@host/name") == "postgresql://host/name"
    at_a_server = "search.storage=postgresql://me:secret@host/name"
    command = goes_on(plan([*ASKED, at_a_server]))
    assert shlex.split(command)[-1] == "search.storage=postgresql://host/name"


@pytest.mark.parametrize(("times", "said"), [(1, "stopped"), (2, "killed before it had saved")])
def test_a_second_ctrl_c_ends_trials_at_once(times, said, faked, monkeypatch):  # noqa: F811
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("this signal is ignored here, and stays so")

    class Impatient(Listener):
        def say(self, text):
            super().say(text)
            if ": begun on" in text:
                wait_for(lambda: list(faked.glob("outputs/runs/*/metrics.csv")))  # it is heard
                for _ in range(times):
                    os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setenv("SECONDS", "0.5")
    listener = Impatient()
    with pytest.raises(SystemExit, match="130"):
        search([*ASKED, "search.trials=1"], listener)
    (line,) = (line for line in listener.said if line.endswith(said))
    assert line.startswith("trial 0: ")


def test_a_run_that_is_done_answers_for_a_trial_if_it_is_its_own(faked):  # noqa: F811
    """As no shortened identity can promise: another one may have come to the same name."""
    asked = [*GRID, "search.trials=2", "search/pruner=none", "model.dropout=0.0"]
    for rate, theirs in (("0.01", "0.01"), ("0.02", "0.03")):
        trial = [*GRID[:-2], "model.dropout=0.0", f"optimizer.lr={rate}"]
        run = plan([*asked, "optimizer.lr=0.01,0.02"]).directory(trial)
        run.path.mkdir(parents=True)
        run.write_config(compose([*trial[:-1], f"optimizer.lr={theirs}"]))
        rows = (f"{epoch},1,{0.5 + epoch / 100}" for epoch in range(1, 7))
        run.metrics_file.write_text("epoch,val/loss,val/accuracy\n" + "\n".join(rows) + "\n")
        run.untested_file.touch()
    search([*asked, "optimizer.lr=0.01,0.02"])
    trials = {one["chosen"]["optimizer.lr"]: one for one in content(faked)["trials"]}
    assert (trials["0.01"]["state"], trials["0.01"]["value"]) == ("finished", 0.56)
    assert trials["0.02"]["state"] == "failed"
    assert (
        "is the directory of another run, which differs in optimizer.lr"
        in (trials["0.02"]["reason"])
    )
    assert [test for _, test in begun(faked)] == ["true"], "only the best one's test"


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoilt", [b"\xff\xfe\x00", b"epoch,val/loss,val/accuracy\n1,0.5", b"a\n1"]
)
def test_a_trial_whose_curve_is_spoilt_has_failed_and_the_others_go_on(faked, spoilt):  # noqa: F811
    asked = [*GRID[:-1], "search.trials=2", "search/pruner=none", "model.dropout=0.0"]
    trial = [*GRID[:-2], "model.dropout=0.0", "optimizer.lr=0.01"]
    run = plan([*asked, "optimizer.lr=0.01,0.02"]).directory(trial)
    run.path.mkdir(parents=True)
    run.write_config(compose(trial))
    run.metrics_file.write_bytes(spoilt)
    run.untested_file.touch()
    search([*asked, "optimizer.lr=0.01,0.02"])
    trials = {one["chosen"]["optimizer.lr"]: one for one in content(faked)["trials"]}
    assert trials["0.02"]["state"] == "finished"
    assert trials["0.01"]["state"] == "failed"
    assert f"{run.metrics_file} is damaged or foreign" in trials["0.01"]["reason"]


@pytest.mark.slow
def test_a_name_is_one_search_s(faked):  # noqa: F811
    search([*ASKED, "search.trials=1", "search.name=mine"])
    with pytest.raises(
        UserError, match=r"search\.name=mine is a study that differs in bounds, seed"
    ):
        search([*ASKED[:-1], "model.dropout=0.1,0.2", "search.seed=1", "search.name=mine"])


@pytest.mark.slow
def test_what_was_found_stays_found_when_the_same_command_is_stopped_and_not_with_more_trials(
    faked,  # noqa: F811
    monkeypatch,
):
    asked = [*ASKED, "search.name=mine"]
    search([*asked, "search.trials=2"])
    before = content(faked)
    assert before["command"]

    def stopped(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Searcher, "run", stopped)
    for number, kept in ((2, True), (3, False)):
        with pytest.raises(KeyboardInterrupt):
            search([*asked, f"search.trials={number}"])
        for key in ("command", "best_run", "importances"):
            assert (content(faked)[key] == before[key]) == kept


def test_without_optuna_one_line_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("reslab.search")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr(sys, "argv", ["reslab", "search", DROPOUT])
    monkeypatch.setattr(cli, "prepare_process", lambda: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == "reslab: optuna is not installed: pip install 'reslab[search]'"


@pytest.mark.long
def test_a_run_may_end_before_its_test_and_the_same_command_without_that_reads_it(tmp_path):
    asked = ("train", *SMALL, "logger=none", "trainer=exact", "trainer.max_epochs=1")
    assert run(tmp_path / "whole", *asked).code == 0
    for _ in range(2):
        untested = run(tmp_path / "parts", *asked, "test=false")
        assert (untested.code, untested.out.splitlines()[0]) == (0, UNTESTED)
    (path,) = (tmp_path / "parts/outputs/runs").iterdir()
    assert RunDirectory(path).state() == "untested"
    assert not {"metrics.json", "predictions.npz"} & {file.name for file in path.iterdir()}
    assert run(tmp_path / "parts", "train", "--from", path.name).code == 0
    assert not (path / "untested.txt").exists()
    assert_same_results(path, tmp_path / "whole/outputs/runs" / path.name)
    again = run(tmp_path / "parts", *asked, "test=false")
    assert "finished, test accuracy" in again.out


@pytest.mark.long
def test_real_trainings_are_killed_gone_on_with_pruned_and_found(tmp_path):
    asked = (
        *("search", *SMALL, "logger=none", "trainer=cpu", "trainer.max_epochs=8"),
        *("optimizer.lr=0.01,1e-7", "model.dropout=0.0,0.1", "search/sampler=grid", GOOD_FIRST),
        *("search.pruner.n_startup_trials=1", "search.pruner.n_warmup_steps=0", *TWO),
    )
    spare = ("spare", 1)  # what forks the trials imports nothing
    killed = start(tmp_path, *asked, kill=spare)
    runs_dir = tmp_path / "outputs/runs"
    wait_for(lambda: len([run for run in list_runs(runs_dir) if values_of(run, "val/loss")]) == 2)
    killed.send(signal.SIGKILL)
    killed.wait(60)
    finished = run(tmp_path, *asked, kill=spare)
    assert finished.code == 0, finished.err
    runs = {one.name: one for one in list_runs(runs_dir)}
    told = content(tmp_path)
    good, bad = told["trials"][:2], told["trials"][2:]
    for one in good:
        assert (one["state"], one["epochs"]) == ("finished", 8)
        assert one["value"] == max(values_of(runs[one["run"]], "val/accuracy"))
        assert "resuming at step" in runs[one["run"]].log_file.read_text()
    for one in bad:
        assert (one["state"], one["epochs"] < 8) == ("pruned", True)
    assert len(runs) == 4
    tested = [name for name, one in runs.items() if one.record()]
    assert tested == [told["best_run"]]
    assert [name for name, one in runs.items() if one.predictions_file.exists()] == tested
    (recipe,) = runs_dir.glob("searches/*/conf/recipe/*.yaml")
    assert yaml.safe_load(recipe.read_text())["optimizer"]["lr"] == 0.01
    again = run(tmp_path, *finished.out.splitlines()[-1].split()[1:])
    assert again.code == 0, again.err
    assert f"outputs/runs/{tested[0]}: finished, test accuracy" in again.out
