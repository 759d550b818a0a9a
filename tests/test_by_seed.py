"""What runs come to that differ in the seed alone."""

import json
import shutil

import pytest

from processes import run
from reslab.runs.repeat import Repeat
from reslab.runs.seeds import titles
from reslab.runs.store import RunDirectory, list_runs
from reslab.terminal.by_seed import print_runs_by_seed
from training import only_run


@pytest.fixture
def two_seeds(trained_once, tmp_path):
    """A folder with runs of two seeds, and the accuracies of both in percent."""
    runs = tmp_path / "outputs/runs"
    first, second = runs / only_run(trained_once).name, runs / "second"
    for folder in (first, second):
        shutil.copytree(only_run(trained_once), folder)
    config = second / "config.yaml"
    config.write_text(
        config.read_text().replace("seed: 0", "seed: 1").replace("split_seed: 1", "split_seed: 0")
    )
    content = json.loads((second / "metrics.json").read_text())
    (second / "metrics.json").write_text(json.dumps(content | {"seed": 1, "test/accuracy": 0.5}))
    return tmp_path, first, second, (content["test/accuracy"], 0.5)


def listed(folder):
    return run(folder, "runs", "--by-seed").out.splitlines()[2:]


@pytest.mark.parametrize("places", [["copy"], ["a copy", "digits-copy", "0"]], ids=["one", "three"])
def test_a_run_of_which_there_are_copies_counts_once(places, two_seeds):
    folder, first, _, _ = two_seeds
    before = listed(folder)
    assert before[0].split()[1:3] == ["2", before[0].split()[2]]
    for place in places:
        shutil.copytree(first, first.with_name(place))
    table, *copies = listed(folder)
    assert table == before[0]
    assert sorted(copies) == sorted(
        f"outputs/runs/{place} is not counted: it is a copy of {first.name}" for place in places
    )


def test_a_copy_that_is_finished_counts_rather_than_one_that_is_not(two_seeds):
    folder, first, _, _ = two_seeds
    before = listed(folder)
    shutil.copytree(first, first.with_name("copy"))
    (first / "metrics.json").unlink()
    table, said = listed(folder)
    assert table == before[0]
    assert said == f"outputs/runs/{first.name} is not counted: it is a copy of copy"


def test_runs_of_two_seeds_are_both_counted(two_seeds):
    folder, _, _, accuracies = two_seeds
    (table,) = listed(folder)
    mean = 100 * sum(accuracies) / 2
    deviation = 100 * abs(accuracies[0] - accuracies[1]) / 2**0.5
    assert table.endswith(f"{mean:.2f} ± {deviation:.2f}")


@pytest.fixture
def listed_beside(two_seeds, capsys):
    """What is printed of a run beside two that are whole: lines, without those two's, and notes."""
    folder = two_seeds[0] / "outputs/runs"

    def listed_beside(files):
        (folder / "another").mkdir()
        for name, content in files.items():
            (folder / "another" / name).write_text(content)
        print_runs_by_seed(list_runs(folder), folder)
        said = capsys.readouterr()
        return said.out.splitlines()[3:], said.err.splitlines(), folder / "another"

    return listed_beside


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"failure.txt": "the reason\n\nTraceback"}, "failed: the reason"),
        ({}, "interrupted"),
    ],
)
def test_a_run_without_a_configuration_is_passed_over_with_why(files, why, listed_beside):
    lines, notes, path = listed_beside({"request.json": "{}"} | files)
    assert lines == [f"{path} is not counted: {why}"]
    assert notes == []


def test_where_there_is_none_but_a_refused_run_it_is_named(tmp_path, capsys):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/request.json").write_text("{}")
    print_runs_by_seed(list_runs(tmp_path), tmp_path)
    assert capsys.readouterr().out == f"{tmp_path / 'one'} is not counted: interrupted\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: [", "cannot be read (while parsing a flow node); rerun=true makes it anew"),
        ("[1]", "is no run's configuration; rerun=true makes it anew"),
        ("a: 1", "is no run's configuration: it has no 'model'"),
        ("{seed: 1, dataset: 3, model: 4}", "is no run's configuration: "),
        ("dataset: ${nothing}", "is no run's configuration: it has no 'model'"),
        ("\0", "cannot be read (unacceptable character #x0000: "),
    ],
)
def test_a_damaged_configuration_is_named_with_the_reason(content, reason, listed_beside):
    lines, (note,), path = listed_beside({"config.yaml": content})
    assert lines == []
    assert note.startswith(f"warning: {path / 'config.yaml'} {reason}")
    assert not note.endswith(": ")
    assert "Error" not in note


def test_runs_of_one_name_are_told_apart_by_recipe_and_then_by_what_differs(tmp_path):
    def repeat(recipe, **changes):
        config = {"dataset": {"name": "digits"}, "optimizer": {"lr": 0.1}} | changes
        run = RunDirectory(tmp_path / f"{recipe}{len(changes)}")
        return Repeat.of(run, run.name, "digits-cnn", config, None, recipe)

    runs = [
        repeat("paper/cnn"),
        repeat("paper/other", patience=3),
        repeat("paper/other", optimizer={"lr": 0.5}),
        repeat(None, patience=9),
    ]
    assert list(titles(runs).values()) == [
        "digits-cnn recipe=paper/cnn",
        "digits-cnn recipe=paper/other optimizer.lr=0.1 patience=3",
        "digits-cnn recipe=paper/other optimizer.lr=0.5 patience=None",
        "digits-cnn",
    ]
    assert next(iter(titles(runs[1:3]).values())) == "digits-cnn optimizer.lr=0.1 patience=3"
    lists = [repeat(None, blocks=[2.0, 2.0]), repeat(None, blocks=[2.0, 1.5], patience=1e6)]
    assert list(titles(lists).values()) == [
        "digits-cnn blocks=[2, 2] patience=None",
        "digits-cnn blocks=[2, 1.5] patience=1000000",
    ]
