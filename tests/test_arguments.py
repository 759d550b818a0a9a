"""What people type at first is understood, or they are told how to write it."""

import os
import re

import click
import pytest
from hydra.errors import HydraException

from processes import run
from reslab.cli import cli
from reslab.cli.arguments import as_overrides, at_home, for_hydra
from reslab.config import compose, explain, list_groups
from reslab.config.places import composed_of_hydra
from reslab.errors import UserError
from reslab.runs.identity import run_name
from reslab.terminal.console import print_table
from training import SMALL, only_run


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~logger", "logger=none"),
        ("logger=null", "logger=none"),
        ("~logger=tensorboard", "logger=none"),
        ("augment=null", "augment=none"),
        ("~join", "join=none"),
        ("logger=false", "logger=none"),
        ("logger=False", "logger=none"),
        ("logger=", "logger=none"),
        ("++logger=null", "logger=none"),
        ("+logger=none", "logger=none"),
        ("++model=resnet18", "model=resnet18"),
        ("recipe=null", "~recipe"),
        ("~ablation", "~ablation"),
        ("~dataset.mean", "~dataset.mean"),
        ("patience=null", "patience=null"),
        ("logger=tensorboard", "logger=tensorboard"),
        ("+optimizer.optimizer.x=1", "+optimizer.optimizer.x=1"),
        ("runs_dir=~/runs", f"runs_dir={os.path.expanduser('~/runs')}"),
        ("dataset.name=~x", "dataset.name=~x"),
    ],
)
def test_a_group_that_is_switched_off_is_its_option_none(typed, meant):
    assert list(as_overrides([typed])) == [meant]


@pytest.mark.parametrize("group", ["dataset", "model", "optimizer", "trainer"])
@pytest.mark.parametrize("form", ["~{}", "{}=null", "{}=false", "{}=", "++{}=null"])
def test_a_group_without_which_there_is_no_run_says_so(form, group):
    typed = form.format(group)
    with pytest.raises(
        UserError, match=f"^{re.escape(typed)}: there is no run without {group}; choose from"
    ):
        list(as_overrides([typed]))


def test_every_group_can_be_switched_off_or_says_that_it_cannot():
    for group in list_groups():
        try:
            compose([*SMALL, *as_overrides([f"{group}=null"])])
        except UserError as error:
            assert "there is no run without" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["~seed"], "~seed: seed cannot be left out"),
        (["optimizer.lr", "0.1"], "optimizer.lr: write optimizer.lr=0.1"),
        (["optimizer.lr", "=", "0.1"], "optimizer.lr: write optimizer.lr=0.1"),
        (["optimizer.lr:0.1"], "optimizer.lr:0.1: write optimizer.lr=0.1"),
        (["lr", "0.1"], "lr: write optimizer.lr=0.1"),
        (["seed", "model=resnet18"], "seed: write seed=VALUE"),
        (["resnet18"], "resnet18: write model=resnet18"),
        (["mnist"], "mnist: write dataset=mnist"),
        (["sgd"], "sgd: write optimizer=sgd"),
        (["what"], "what: what changes a run is written KEY=VALUE, without spaces at the ="),
        (["model=3"], "model=3: there is no such option; choose from"),
        (["logger=true"], "logger=true: there is no such option; choose from none, tensorboard"),
        (["=3"], "=3: what changes a run is written KEY=VALUE, without spaces at the ="),
    ],
)
def test_a_word_that_is_no_override_says_how_to_write_it(words, hint):
    with pytest.raises(UserError, match=f"^{re.escape(hint)}"):
        list(as_overrides(words))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--optimizer.lr", "0.1"], "--optimizer.lr: write optimizer.lr=0.1"),
        (["--optimizer.lr=0.1"], "--optimizer.lr: write optimizer.lr=0.1"),
        (["seed=1", "--lr", "0.1"], "--lr: write optimizer.lr=0.1"),
        (["--model", "resnet18"], "--model: write model=resnet18"),
        (["--epochs", "3"], "--epochs: write dataset.small_epochs=3 or trainer.max_epochs=3"),
        (["--batch-size=8"], "--batch-size: write dataset.batch_size=8"),
        (["--sweep"], "there is no option --sweep"),
        (["-x"], "there is no option -x"),
    ],
)
def test_an_option_that_is_meant_as_a_key_says_how_to_write_it(words, hint):
    with pytest.raises(UserError, match=f"^{re.escape(hint)}$"):
        for_hydra(words)


@pytest.mark.parametrize("command", ["summary", "data digits", "reproduce liu_goh", "bench train"])
def test_so_it_is_in_every_command_that_takes_overrides(command, tmp_path):
    assert run(tmp_path, *command.split(), "--seed", "3").error_line() == (
        "reslab: --seed: write seed=3"
    )


def test_a_command_that_takes_none_knows_no_keys(tmp_path):
    finished = run(tmp_path, "runs", "--seed", "3")
    assert finished.code == 2
    assert "No such option" in finished.err
    assert "write seed" not in finished.err


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["seed=0,1", "--multirun", "model=resnet18"], ["--multirun"]),
        (["-m", "seed=0,1", "model=resnet18"], ["-m"]),
        (["seed=0,1", "model=resnet18", "--cfg", "job"], ["--cfg", "job"]),
        (["seed=0,1", "--info", "model=resnet18"], ["--info"]),
        (["seed=0,1", "--info", "plugins", "model=resnet18"], ["--info", "plugins"]),
        (["--package=x", "seed=0,1", "model=resnet18"], ["--package=x"]),
    ],
)
def test_hydra_s_flags_may_stand_anywhere(words, flags):
    assert for_hydra(words) == (flags, ["seed=0,1", "model=resnet18"])


def test_several_values_without_a_sweep_say_what_to_add(tmp_path):
    line = run(tmp_path, "train", *SMALL, "seed=0,1").error_line()
    assert line == (
        "reslab: seed=0,1: several values are a sweep, for which `reslab train` needs -m; a list "
        "is written seed=[0,1]"
    )
    for several in ("optimizer=adam,sgd", "seed=range(2)", "seed=choice(0,1)", "optimizer=glob(*)"):
        hint = f"{several}: several values are a sweep, for which `reslab train` needs -m"
        with pytest.raises(UserError, match=f"^{re.escape(hint)}"):
            compose([several])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("+trainer.devices=99", "trainer.devices is there already: write it without the +"),
        ("+seed=1", "seed is there already: write it without the +"),
        ("~augment.flip", "~augment.flip: there is no augment.flip to leave out"),
    ],
)
def test_what_is_added_or_left_out_in_vain_says_so(override, hint):
    with pytest.raises(UserError, match=f"^{re.escape(hint)}$"):
        compose([override])


@pytest.mark.slow
def test_a_sweep_whose_flag_comes_last_without_a_logger_trains_the_usual_runs(tmp_path):
    finished = run(tmp_path, "train", *SMALL, "max_steps=1", "seed=3,4", "~logger", "--multirun")
    assert finished.code == 0, finished.err
    names = {path.name for path in (tmp_path / "outputs/runs").iterdir() if path.is_dir()}
    same = [compose([*SMALL, "max_steps=1", f"seed={seed}"]) for seed in (3, 4)]
    assert names == {run_name(cfg) for cfg in same}
    assert not list(tmp_path.rglob("events.out*"))


@pytest.mark.slow
def test_the_home_is_meant_where_no_shell_has_seen_to_it(tmp_path):
    home = tmp_path / "home"
    run(tmp_path, "runs", HOME=str(home))
    trained = run(
        *(tmp_path, "train", *SMALL, "max_steps=1", "logger=none"),
        "runs_dir=~/runs",
        HOME=str(home),
    )
    assert trained.code == 0, trained.err
    (made,) = (home / "runs").iterdir()
    listed = run(tmp_path, "runs", "--runs-dir=~/runs", HOME=str(home))
    assert made.name in listed.out
    drawn = run(tmp_path, "summary", *SMALL, "--draw=~/network.png", HOME=str(home))
    assert drawn.code == 0, drawn.err
    assert (home / "network.png").exists()
    assert not (tmp_path / "~").exists()
    assert at_home("a/~/b") == "a/~/b"


# Overrides, which are seen to apart, and names of what is no file.
NO_PATHS = {"overrides", "table", "name", "device", "host"}


def test_the_home_is_meant_wherever_a_path_may_stand():
    """In every argument and option that takes text of any kind, of every command."""
    context = click.Context(cli)
    tried = 0
    for command in cli.commands.values():
        for parameter in command.params:
            if isinstance(parameter.type, click.types.StringParamType | click.Path):
                if parameter.name in NO_PATHS:
                    continue
                taken = parameter.type("~/x", parameter, context)
                assert str(taken) == os.path.expanduser("~/x"), (command.name, parameter.name)
                assert str(parameter.type("x~", parameter, context)) == "x~"
                tried += 1
    assert tried > 20


@pytest.mark.slow
def test_runs_and_labels_may_be_given_from_the_home(trained, tmp_path):
    home = {"HOME": str(trained)}
    (trained / "home.csv").write_text("pictures/3,3\n")
    made = only_run(trained)
    (best,) = made.rglob("best.ckpt")
    given = [f"~/{path.relative_to(trained)}" for path in (made, best)]
    evaluated = run(tmp_path, "evaluate", given[0], "--output=out", **home)
    assert evaluated.code == 0, evaluated.err
    refused = run(tmp_path, "predict", given[1], "~/pictures/3", "--labels=~/home.csv", **home)
    assert f"--labels {trained}/home.csv: it names none of the" in refused.error_line()


def print_on(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    rows = [
        ("digits-mini_resnet-nojoin-s0-0123abcd", "finished", "20", "98.33", "97.50", ""),
        ("a name with words of its own", "running 12%", "3", "", "", "2.5"),
    ]
    print_table("all of them", ("Run", "State", "Epochs", "Val, %", "Test, %", "Min"), rows)
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert all(len(line) <= width for line in out.splitlines())
    return rows, out


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_nothing_is_cut_on_a_narrow_terminal(width, capsys, monkeypatch):
    rows, out = print_on(width, capsys, monkeypatch)
    assert "…" not in out
    text = out.replace("\n", "")
    for first, *others in rows:
        assert first.replace(" ", "") in text.replace(" ", "")
        assert all(cell in text for cell in others)


def test_the_numbers_of_a_row_stand_below_its_name(capsys, monkeypatch):
    _, out = print_on(60, capsys, monkeypatch)
    assert out.splitlines()[:3] == [
        "all of them",
        "digits-mini_resnet-nojoin-s0-0123abcd",
        "  State finished  Epochs 20  Val, % 98.33  Test, % 97.50",
    ]


@pytest.fixture
def served_with(monkeypatch):
    """Gives the command line's words to the studio, which does not begin: what it would serve."""
    asked = []
    monkeypatch.setattr(
        "reslab.studio.server.serve", lambda runs_dir, *rest, **more: asked.append(runs_dir)
    )

    def serve(*words):
        cli(["studio", *words], standalone_mode=False)
        return str(asked.pop())

    return serve


@pytest.mark.parametrize(
    ("option", "place", "fault"),
    [
        ("--runs-dir", "file", "file is no folder"),
        ("--runs-dir", "file/below", "file is no folder"),
        ("--data-dir", "file", "there is no such folder"),
        ("--data-dir", "nowhere", "there is no such folder"),
        ("--config-dir", "nowhere", "there is no such folder"),
    ],
)
def test_a_folder_that_is_none_is_refused_by_the_option_s_name(
    option, place, fault, served_with, tmp_path
):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"^{option} {tmp_path / place}: .*{fault}$"):
        served_with(option, str(tmp_path / place))


def test_folders_that_are_made_later_need_not_be_there(served_with, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert served_with() == "outputs/runs"
    assert served_with("--runs-dir", "to/come") == "to/come"
    (tmp_path / "there").mkdir()
    assert served_with("--data-dir", "there") == "outputs/runs"


@pytest.mark.parametrize(
    "word",
    ["hydra/launcher=local", "hydra.launcher.slots=2", "+hydra.sweep.dir=x", "hydra/sweeper=basic"],
)
def test_what_is_about_a_sweep_is_refused_where_none_is_asked_for(word):
    line = f"{word} is about a sweep, for which `reslab train` needs -m"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        for_hydra(["seed=1", word])
    for asked in (["-m"], ["--multirun"], ["--cfg", "hydra"], ["hydra.mode=MULTIRUN"]):
        assert word in for_hydra(["seed=1", word, *asked])[1]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["hydra/launcher=locall"],
            "hydra/launcher=locall: there is no such file; did you mean local?",
        ),
        (
            ["hydra/launcher=local", "hydra.launcher.slot=2"],
            "there is no option hydra.launcher.slot; did you mean hydra.launcher.slots",
        ),
        (
            ["hydra.launcher.runs_per_gpu=2"],
            "there is no option hydra.launcher.runs_per_gpu without hydra/launcher=local",
        ),
        (
            ["hydra/launcher=local", "hydra.launcher.partition=gpu"],
            "there is no option hydra.launcher.partition without hydra/launcher=slurm",
        ),
        (
            ["hydra/launcher=slurm", "hydra.launcher.timeout=60"],
            "there is no option hydra.launcher.timeout; did you mean hydra.launcher.timeout_min",
        ),
        (
            ["hydra/launcher=slurm", "hydra.launcher.additional_parameters={exclude: n7}"],
            "hydra.launcher.additional_parameters={exclude: n7}: what it does not have yet is added: "
            "write +hydra.launcher.additional_parameters={exclude: n7}",
        ),
        (["hydra.job.chidr=true"], "there is no option hydra.job.chidr; did you mean hydra.job."),
        (
            ["hydra/launcher=local", "hydra.launcher.slots=abc"],
            "hydra.launcher.slots=abc: it must be a whole number",
        ),
        (["hydra.job.chdir=maybe"], "hydra.job.chdir=maybe: it must be true or false"),
    ],
)
def test_what_hydra_does_not_know_of_its_own_is_named_with_the_nearest(words, line):
    with pytest.raises(HydraException) as error:
        composed_of_hydra(words)
    said = explain(error.value, words)
    assert said.startswith(line)
    assert "\n" not in said
