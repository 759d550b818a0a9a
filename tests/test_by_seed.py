"""What runs come to that differ in the seed alone."""

import json
import shutil

import pytest

from processes import run
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
