"""Going on with a finished run beyond its end."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from processes import run
from reslab.config import compose
from reslab.runs import checkpoint as files
from reslab.runs.extension import follow_the_length, settled, shorter_runs
from reslab.runs.identity import identity
from reslab.runs.store import RunDirectory, list_runs
from training import ARGUMENTS, EVERY_STEP, SMALL, assert_same_results, history

PLAIN = ("train", *SMALL, "model.dropout=0.5", "augment=crop_flip", "logger=none", "trainer=exact")
TWO, FOUR = "trainer.max_epochs=2", "trainer.max_epochs=4"
KEEP, EXTEND = "keep_state=true", "extend_from=auto"
PLATEAU = tuple(
    argument
    for argument in ARGUMENTS
    if not argument.startswith(("trainer.max_epochs", "patience"))
)

SCHEDULES = {
    "adam, plateau": (*PLATEAU, "trainer=exact"),
    "steps that are given": (*PLAIN, "optimizer=sgd_step", "optimizer.schedule.milestones=[1,3]"),
    "mixed images, steps counted": (
        *(*PLAIN, "augment=mixup", "optimizer=sgd_step", "optimizer.interval=step"),
        "optimizer.schedule.milestones=[30,50]",
    ),
}
FIRST = ("steps that are given",)  # what newcomers' tests have of them
OF_OTHERS = ("adam, plateau",)  # whose extensions those that are killed, or of another, compare
RUINED = ("optimizer=sgd_step", "optimizer.lr=0.01", "optimizer.schedule.gamma=1000")
COSINE = (*PLAIN, "optimizer=sgd_cosine")
STEPPED = (*PLAIN, "trainer.max_epochs=-1", "patience=3")
FIFTY = "max_steps=50"


def trained(folder, *arguments, **options):
    """The directory of the run that a command has brought to its end."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob("outputs/runs/*/metrics.json")}
    done = run(folder, *arguments, **options)
    assert done.code == 0, done.err
    (path,) = (
        path.parent
        for path in folder.glob("outputs/runs/*/metrics.json")
        if before.get(path) != path.stat().st_mtime_ns
    )
    return path, done


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def extends(path):
    return json.loads((path / "metrics.json").read_text())["extends"]


@pytest.fixture(scope="module")
def plateau(tmp_path_factory):
    """A folder with a run of two epochs that kept its state; and one with a run of four."""
    folder = tmp_path_factory.mktemp("plateau")
    trained(folder / "two", *SCHEDULES["adam, plateau"], TWO, KEEP)
    whole, _ = trained(folder / "four", *SCHEDULES["adam, plateau"], FOUR)
    return folder / "two", whole


@pytest.fixture(scope="module")
def cosine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cosine")
    trained(folder / "two", *COSINE, TWO, KEEP)
    whole, _ = trained(folder / "four", *COSINE, FOUR)
    return folder / "two", whole


@pytest.fixture(scope="module")
def extended_cosine(cosine, tmp_path_factory):
    """A copy of the former folder of cosine's in which the run of two epochs has been extended."""
    folder = tmp_path_factory.mktemp("extended") / "cosine"
    shutil.copytree(cosine[0], folder)
    return folder, *trained(folder, *COSINE, FOUR, EXTEND)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory):
    """A run of so many steps."""
    return trained(tmp_path_factory.mktemp("fifty"), *STEPPED, FIFTY)[0]


@pytest.fixture
def two(plateau, tmp_path):
    shutil.copytree(plateau[0], tmp_path / "two")
    return tmp_path / "two"


@pytest.fixture
def two_of_cosine(cosine, tmp_path):
    shutil.copytree(cosine[0], tmp_path / "cosine")
    return tmp_path / "cosine"


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(*pair, marks=[pytest.mark.long] if name not in FIRST else [], id=name)
        for name, *pair in SCHEDULES.items()
        if name not in OF_OTHERS
    ],
)
def test_an_extension_is_bitwise_the_run_of_its_length(arguments, tmp_path):
    """Momentum, schedule, dropout and augmentation go on as if nothing had ended."""
    source, _ = trained(tmp_path, *arguments, TWO, KEEP)
    before = content(source)
    extension, said = trained(tmp_path, *arguments, FOUR, EXTEND)
    whole, _ = trained(tmp_path / "whole", *arguments, FOUR)
    assert extension.name == whole.name
    assert_same_results(extension, whole)
    assert content(source) == before
    assert f"extended from step 38 (epoch 2) of {source.name}, as one run would be" in said.err
    expected = {"run": source.name, "identity": source.name[-8:], "epoch": 2, "step": 38}
    assert extends(extension) == expected | {"exact": True, "reason": ""}
    assert json.loads((extension / "metrics.json").read_text())["exact"] is True
    assert extends(whole) is None
    assert "2 + 2" in run(tmp_path, "runs").out
    assert "finished, test accuracy" in run(tmp_path, *arguments, FOUR).out


@pytest.mark.long
def test_what_follows_from_the_length_makes_another_run_of_it(extended_cosine, cosine):
    two_of_cosine, extension, said = extended_cosine
    (source,) = list_runs(cosine[0] / "outputs/runs")
    whole = cosine[1]
    assert "not as one run would be: optimizer.schedule.T_max follows from the length" in said.err
    assert "the learning rate goes on at 0.05, " in said.err
    rates = [
        0.1 * (1 + np.cos(np.pi * epoch / n)) / 2 for epoch, n in ((0, 2), (1, 2), (2, 4), (3, 4))
    ]
    assert list(history(extension)["lr"]) == pytest.approx(rates)
    ours, theirs = history(extension), history(source.path)
    pd.testing.assert_frame_equal(ours[:2], theirs, check_exact=True)
    assert not ours.equals(history(whole))
    assert extension.name != whole.name
    said_of_it = extends(extension)
    assert (said_of_it["exact"], said_of_it["epoch"]) == (False, 2)
    assert "T_max" in said_of_it["reason"]
    assert json.loads((extension / "metrics.json").read_text())["exact"] is False
    again = run(two_of_cosine, *COSINE, FOUR, EXTEND)
    assert f"{extension}: finished" in again.out
    by_name = run(two_of_cosine, *COSINE, FOUR, f"extend_from={source.name}")
    assert f"{extension}: finished" in by_name.out
    exported = run(two_of_cosine, "export", extension.name, "--format", "safetensors")
    assert exported.code == 0, exported.err
    (card,) = two_of_cosine.glob("outputs/**/model.safetensors.md")
    assert f"extended from step 38 (epoch 2) of {source.name}, not as one" in card.read_text()


@pytest.mark.long
def test_an_extension_of_an_extension(two_of_cosine, plateau, two):
    """Of one that is as one run, and of one that is not."""
    first, _ = trained(two, *SCHEDULES["adam, plateau"], "trainer.max_epochs=3", EXTEND, KEEP)
    second, _ = trained(two, *SCHEDULES["adam, plateau"], FOUR, EXTEND)
    assert extends(second)["run"] == first.name
    assert_same_results(second, plateau[1])
    first, _ = trained(two_of_cosine, *COSINE, "trainer.max_epochs=3", EXTEND, KEEP)
    second, _ = trained(two_of_cosine, *COSINE, FOUR, EXTEND)
    assert extends(second)["run"] == first.name
    assert extends(second)["exact"] is False
    rates = [0.1 * (1 + np.cos(np.pi * epoch / n)) / 2 for epoch, n in ((2, 3), (3, 4))]
    assert list(history(second)["lr"][2:]) == pytest.approx(rates)


@pytest.mark.long
@pytest.mark.parametrize(
    "moment",
    [
        ("step", 10),
        ("save", 1),
        ("end", 1),
    ],
)
def test_an_extension_that_is_killed_goes_on_by_itself(moment, two, plateau):
    """From its own checkpoint, whether its source is still there or not."""
    arguments = (*SCHEDULES["adam, plateau"], FOUR, EXTEND, EVERY_STEP)
    assert run(two, *arguments, kill=moment).killed
    if moment[0] != "save":  # of the checkpoint that it begins with
        shutil.rmtree(next(two.glob("outputs/runs/*/metrics.json")).parent)
    extension, _ = trained(two, *arguments)
    assert_same_results(extension, plateau[1])
    assert extends(extension)["epoch"] == 2


@pytest.mark.long
def test_a_rerun_of_an_extension_goes_on_with_its_source_again(two, plateau):
    arguments = (*SCHEDULES["adam, plateau"], FOUR, EXTEND)
    trained(two, *arguments)
    extension, said = trained(two, *arguments, "rerun=true")
    assert "extended from step 38 (epoch 2) of" in said.err
    assert_same_results(extension, plateau[1])
    assert extends(extension)["epoch"] == 2
    assert json.loads((extension / "metrics.json").read_text())["rerun"] == 1


@pytest.mark.long
def test_an_inexact_extension_that_is_killed_goes_on_whatever_is_finished_since(
    two_of_cosine, extended_cosine
):
    """By its command and by its name, though `auto` would now be another run."""
    _, whole, _ = extended_cosine
    assert run(two_of_cosine, *COSINE, FOUR, EXTEND, EVERY_STEP, kill=("step", 10)).killed
    trained(two_of_cosine, *COSINE, "trainer.max_epochs=3", KEEP)
    resumed = run(two_of_cosine, "resume", whole.name, kill=("spare", 1))
    assert resumed.code == 0, resumed.err
    assert_same_results(two_of_cosine / "outputs/runs" / whole.name, whole)


@pytest.mark.slow
def test_the_best_epoch_may_be_the_source_s(tmp_path):
    """With a rate that ruins the network from the third epoch on."""
    ruined = (*PLAIN, *RUINED, "optimizer.schedule.milestones=[2]")
    source, _ = trained(tmp_path, *ruined, TWO, KEEP)
    extension, _ = trained(tmp_path, *ruined, FOUR, EXTEND)
    record = json.loads((extension / "metrics.json").read_text())
    assert record["best_epoch"] <= 2 < record["epochs"]
    ours, theirs = (files.load(path / "checkpoints/best.ckpt") for path in (extension, source))
    assert all((ours["state_dict"][k] == v).all() for k, v in theirs["state_dict"].items())


@pytest.mark.long
def test_tensorboard_has_the_whole_curve(tmp_path):
    arguments = ("train", *SMALL, "trainer=exact")
    trained(tmp_path, *arguments, TWO, KEEP)
    assert run(tmp_path, *arguments, FOUR, EXTEND, EVERY_STEP, kill=("step", 25)).killed
    extension, _ = trained(tmp_path, *arguments, FOUR, EXTEND)
    events = EventAccumulator(str(extension), size_guidance={"scalars": 0}).Reload()
    assert [scalar.step for scalar in events.Scalars("val/loss")] == [19, 38, 57, 76]
    assert events.Images("augmented training images")


@pytest.mark.long
def test_where_the_state_was_not_kept_it_is_said_what_is_missing(two):
    (source,) = list_runs(two / "outputs/runs")
    arguments = SCHEDULES["adam, plateau"]
    source.state_kept.unlink()
    line = run(two, *arguments, FOUR, EXTEND).error_line()
    assert "not its optimizer's state, schedule and random generators" in line
    assert "keep_state=true rerun=true" in line
    assert f"init_from={source.name}" in line
    again = run(two, *arguments, TWO, KEEP)
    assert "warning: keep_state=true: it was finished without; add rerun=true" in again.err
    trained(two, *arguments, TWO, KEEP, "rerun=true")
    trained(two, *arguments, FOUR, EXTEND)


@pytest.mark.long
def test_of_several_that_have_kept_its_state_goes_before_a_longer_one(two):
    (source,) = list_runs(two / "outputs/runs")
    arguments = SCHEDULES["adam, plateau"]
    trained(two, *arguments, "trainer.max_epochs=3")
    longer, _ = trained(two, *arguments, FOUR, EXTEND)
    assert extends(longer)["run"] == source.name


@pytest.mark.long
def test_of_as_long_ones_that_which_was_one_run_goes_before_an_extension(cosine, tmp_path):
    folder = tmp_path / "two"
    shutil.copytree(cosine[0], folder)
    three = "trainer.max_epochs=3"
    extended, _ = trained(folder, *COSINE, three, EXTEND, KEEP)
    plain, _ = trained(folder, *COSINE, three, KEEP)
    longer = compose([*COSINE[1:], FOUR, f"runs_dir={folder}/outputs/runs"])
    assert [one.name for one in shorter_runs(longer)][-2:] == [extended.name, plain.name]


@pytest.mark.long
def test_a_new_run_names_the_finished_one_that_it_could_have_gone_on_from(two):
    (source,) = list_runs(two / "outputs/runs")
    arguments = SCHEDULES["adam, plateau"]
    line = (
        f"{source.name} (2 epochs) is finished and differs in trainer.max_epochs alone: "
        f"extend_from=auto goes on from it"
    )
    said = run(two, *arguments, FOUR, kill=("step", 1)).err
    assert said.count(line) == 1
    assert line not in run(two, *arguments, FOUR, EXTEND, kill=("step", 1)).err
    for other in ("optimizer.lr=0.02", "seed=1", "trainer.max_epochs=1"):
        assert "is finished and" not in run(two, *arguments, FOUR, other, kill=("step", 1)).err
    source.state_kept.unlink()
    said = run(two, *arguments, "trainer.max_epochs=3", kill=("step", 1)).err
    assert "begun with keep_state=true, it could be gone on from" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (("optimizer.lr=0.02",), "no finished run under outputs/runs is the same but for being sh"),
        (("trainer.max_epochs=1",), "extend_from=auto: no finished run"),
        (("extend_from={name}", "optimizer.lr=0.02"), "{name}: it differs in optimizer.lr, and no"),
        (("extend_from={name}", "seed=1"), "{name}: it differs in dataset.seed, seed, and not"),
        (("extend_from={name}", TWO, "rerun=true"), "it has trained 2 epochs, 38 steps already"),
        (("extend_from={name}", "trainer.max_epochs=1"), "it has trained 2 epochs, 38 steps"),
        (("extend_from={part}",), "extend_from={part}: give the whole name, {name}"),
        (("extend_from=nothing",), "no run is called nothing"),
        (("extend_from=''",), "extend_from=: give the whole name, {name}"),
        (("extend_from=[1]",), "no run is called [1]"),
    ],
)
def test_what_cannot_be_extended_is_one_line(asked, line, two):
    (source,) = list_runs(two / "outputs/runs")
    before = content(source.path)
    names = {"name": source.name, "part": source.name[-8:]}
    arguments = [argument.format(**names) for argument in asked]
    said = run(two, *SCHEDULES["adam, plateau"], FOUR, EXTEND, *arguments).error_line()
    assert line.format(**names) in said
    assert content(source.path) == before


@pytest.mark.slow
def test_a_run_that_is_not_finished_is_finished_first(tmp_path):
    arguments = (*PLAIN, TWO, KEEP)
    assert run(tmp_path, *arguments, EVERY_STEP, kill=("step", 5)).killed
    (source,) = list_runs(tmp_path / "outputs/runs")
    line = run(tmp_path, *PLAIN, FOUR, f"extend_from={source.name}").error_line()
    assert f"it is interrupted; `reslab resume {source.name}` finishes it" in line


@pytest.mark.long
def test_a_run_that_stopped_early_is_not_extended(tmp_path):
    """One of the new length would have stopped there too."""
    ruined = (*PLAIN, *RUINED, "optimizer.schedule.milestones=[1]", KEEP)
    for monitor in ("val/accuracy", "val/loss"):  # which are worse
        stopping = (*ruined, "patience=1", f"monitor={monitor}")
        source, _ = trained(tmp_path, *stopping, TWO)
        assert len(history(source)) == 2
        line = run(tmp_path, *stopping, FOUR, EXTEND).error_line()
        assert "stopped early in epoch 2, by patience=1" in line


@pytest.mark.long
@pytest.mark.parametrize("steps", [25, 38], ids=["second epoch", "its end"])
def test_a_run_that_steps_ended_is_gone_on_with_inside_its_epoch(steps, fifty, tmp_path):
    """Its last validation, inside an epoch, is no part of the longer run."""
    trained(tmp_path, *STEPPED, f"max_steps={steps}", KEEP)
    assert run(tmp_path, *STEPPED, FIFTY, EXTEND, EVERY_STEP, kill=("step", 7)).killed
    extension, _ = trained(tmp_path, *STEPPED, FIFTY, EXTEND)
    assert_same_results(extension, fifty)
    assert (extends(extension)["step"], extends(extension)["exact"]) == (steps, True)


@pytest.mark.long
def test_a_run_that_steps_end_may_be_killed_before_its_record(fifty, tmp_path):
    for moment in (("step", 25), ("end", 1)):
        assert run(tmp_path, *STEPPED, "max_steps=25", KEEP, EVERY_STEP, kill=moment).killed
    trained(tmp_path, *STEPPED, "max_steps=25", KEEP)
    extension, _ = trained(tmp_path, *STEPPED, FIFTY, EXTEND)
    assert_same_results(extension, fifty)


@pytest.mark.long
def test_what_is_asked_for_behind_the_last_step_inside_an_epoch_is_not_there(tmp_path):
    """The state before the last validation has gone, and that behind it is no part of a run."""
    stepped = (*PLAIN, "trainer.max_epochs=-1")
    assert run(tmp_path, *stepped, "max_steps=25", kill=("end", 1)).killed
    trained(tmp_path, *stepped, "max_steps=25", KEEP)
    line = run(tmp_path, *stepped, "max_steps=50", EXTEND).error_line()
    assert "keep_state=true rerun=true keeps them" in line


@pytest.mark.slow
def test_another_s_state_and_a_damaged_one_are_refused(two, cosine):
    (source,) = list_runs(two / "outputs/runs")
    (other,) = list_runs(cosine[0] / "outputs/runs")
    arguments = (*SCHEDULES["adam, plateau"], FOUR, EXTEND)
    state = source.state_kept.read_bytes()
    shutil.copy(other.state_kept, source.state_kept)
    assert "state.ckpt is another run's" in run(two, *arguments).error_line()
    for spoilt in (state[:1000], b"", state[:1000] + b"x" + state[1001:]):
        source.state_kept.write_bytes(spoilt)
        assert str(source.state_kept.name) in run(two, *arguments).error_line()


@pytest.mark.long
def test_an_extension_in_another_environment_is_recorded_as_not_exact(tmp_path):
    arguments = ("train", *SMALL, "logger=none", "trainer.precision=32-true")
    trained(tmp_path, *arguments, TWO, KEEP)
    extension, said = trained(tmp_path, *arguments, FOUR, EXTEND, TEST_THREADS="2")
    assert "warning: the run began in another environment, which differs in threads" in said.err
    assert extends(extension)["exact"] is False
    assert "environment" in extends(extension)["reason"]


def test_a_table_s_runs_are_whole(tmp_path):
    line = run(tmp_path, "reproduce", "liu_goh", "--quick", EXTEND).error_line()
    assert "extend_from=auto: a table's runs are whole" in line


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["optimizer=adam"], []),
        (["optimizer=adam_plateau"], []),
        (["optimizer=sgd_cosine"], ["optimizer.schedule.T_max"]),
        (["optimizer=sgd_cosine", "optimizer.schedule.T_max=7"], []),
        (["optimizer=sgd_step"], ["optimizer.schedule.milestones"]),
        (
            ["optimizer=adam_warmup_linear"],
            ["optimizer.schedule.milestones", "optimizer.schedule.schedules"],
        ),
        (["recipe=he2016/resnet20"], ["optimizer.schedule.milestones"]),
        (["model.num_classes=${trainer.max_epochs}"], ["model.num_classes"]),
    ],
)
def test_what_follows_from_the_length_is_found_in_the_configuration(overrides, keys):
    cfg = compose(overrides)
    assert follow_the_length(cfg) == keys
    named = compose([*overrides, "extend_from=a-run"])
    assert (identity(settled(named)) == identity(cfg)) == (not keys)


@pytest.mark.long
def test_a_schedule_of_two_in_turn_goes_on_where_the_longer_run_s_would_be(tmp_path):
    """Warm-up and decay of an InTurn, by steps: 19 of 38 are done."""
    arguments = (*PLAIN, "optimizer=sgd_he2016_warmup", "trainer.max_epochs=-1")
    trained(tmp_path, *arguments, "max_steps=19", KEEP)
    extension, _ = trained(tmp_path, *arguments, "max_steps=38", EXTEND)
    whole, _ = trained(tmp_path / "whole", *arguments, "max_steps=38")
    assert len(history(whole)) == 2
    assert list(history(extension)["lr"][1:]) == list(history(whole)["lr"][1:])


@pytest.mark.long
def test_inexact_extensions_of_two_seeds_are_a_line_of_their_own(two_of_cosine):
    """Though each names a run of its own seed."""
    for seed in ("seed=0", "seed=1"):
        run(two_of_cosine, *COSINE, TWO, KEEP, seed)
        trained(two_of_cosine, *COSINE, FOUR, EXTEND, seed)
    lines = run(two_of_cosine, "runs", "--by-seed").out.splitlines()[2:]
    assert len(lines) == 2
    (extended,) = (line for line in lines if "trainer.max_epochs=4" in line)
    assert "extend_from=epoch 2" in extended
    assert "(some not exact)" in extended
    assert " ± " in extended


def test_of_a_source_every_file_is_where_it_was(plateau):
    (source,) = list_runs(plateau[0] / "outputs/runs")
    assert {path.name for path in source.checkpoints.iterdir()} == {
        *("best.ckpt", "last.ckpt", "state.ckpt"),
    }
    assert files.load(source.latest.last)["optimizer_states"] == []
    assert RunDirectory(plateau[1]).state_kept.exists() is False
