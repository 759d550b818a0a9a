"""The index of finished runs: a copy that is never taken for the runs themselves."""

import json
import os

import pytest

from cpu_time import cpu_seconds
from reslab.errors import UserError
from reslab.runs import index as indexing
from reslab.runs.index import Index
from reslab.runs.seeds import Repeat
from reslab.runs.store import RunDirectory, list_runs
from reslab.terminal.by_seed import print_runs_by_seed
from reslab.terminal.runs import print_runs
from studio import write_run


@pytest.fixture
def read(monkeypatch):
    """The names of the runs whose own files were read."""
    names = []
    monkeypatch.setattr(
        Repeat, "read", lambda run, real=Repeat.read: (names.append(run.name), real(run))[1]
    )
    return names


@pytest.fixture
def folder(tmp_path):
    """Three seeds and an unfinished run, written long ago."""
    for seed in range(3):
        write_run(tmp_path, f"run-{seed}", seed=seed, test=0.9 + seed / 100)
    write_run(tmp_path, "unfinished", seed=5)
    for run in tmp_path.iterdir():
        for path in (*run.iterdir(), run):
            os.utime(path, ns=(10**18, 10**18))
    return tmp_path


def look(folder):
    """What all runs are, as a process sees them that has just begun."""
    index = Index(folder)
    found = {run.name: what_was_read(index.read(run)) for run in list_runs(folder)}
    index.save()
    return found


def what_was_read(one):
    return one.name, one.label, one.group, one.config, one.record, one.recipe


def test_a_finished_run_is_read_once_and_the_same_as_without_an_index(folder, read):
    first = look(folder)
    assert first == look(folder)
    assert sorted(read) == sorted([*first, "unfinished"])


def change_record(run):
    content = json.loads(run.record_file.read_text())
    run.record_file.write_text(json.dumps(content | {"test/accuracy": 0.5}))


def remove_record(run):
    run.record_file.unlink()


def change_config(run):
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("lr: 0.1", "lr: 0.25"))


@pytest.mark.parametrize("change", [change_record, remove_record, change_config])
def test_what_has_changed_is_read_again_though_the_folder_is_as_old(folder, read, change):
    look(folder)
    read.clear()
    run = RunDirectory(folder / "run-1")
    change(run)
    os.utime(run.path, ns=(10**18, 10**18))
    found = look(folder)["run-1"]
    assert read.count("run-1") == 1
    assert "run-0" not in read
    assert found == what_was_read(Repeat.read(run))


def test_what_was_written_just_now_is_not_kept_as_it_may_change_unseen(folder, read):
    write_run(folder, "new", seed=7, test=0.5)
    look(folder)
    look(folder)
    assert read.count("new") == 2


def test_what_is_new_is_added_and_of_two_lines_the_later_one_counts(folder):
    look(folder)
    size = (folder / ".index.jsonl").stat().st_size
    run = RunDirectory(folder / "run-1")
    change_record(run)
    for path in (run.record_file, run.path):
        os.utime(path, ns=(2 * 10**17, 2 * 10**17))
    look(folder)
    added = (folder / ".index.jsonl").read_text()[size:]
    assert [json.loads(line)["run"] for line in added.splitlines()] == ["run-1"]
    assert look(folder)["run-1"][4].test_accuracy == 0.5


def test_a_file_of_many_old_lines_is_written_anew(folder):
    run = RunDirectory(folder / "run-1")
    for age in range(20):
        os.utime(run.record_file, ns=(10**17 + age, 10**17 + age))
        look(folder)
    assert len((folder / ".index.jsonl").read_text().splitlines()) < 10


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[:-1] + [lines[-1][:40]],
        lambda lines: [lines[0], *(line[:-30] + "]}" for line in lines[1:])],
        lambda lines: [lines[0], '{"run": "run-0"}', "[]", "3", "", *lines[1:]],
        lambda lines: [lines[0], *(line.replace('"record":{', '"record":{"epochs":"x",') for line in lines[1:])],
        lambda lines: ['{"version":"another"}', *(line.replace("0.9", "0.1") for line in lines[1:])],
        lambda lines: ["\x00"],
        lambda lines: [],
    ],
)  # fmt: skip
def test_a_spoilt_or_foreign_index_changes_nothing(folder, spoil):
    truth = look(folder)
    file = folder / ".index.jsonl"
    file.write_text("\n".join(spoil(file.read_text().splitlines())))
    assert look(folder) == truth
    assert look(folder) == truth


def test_a_folder_that_cannot_be_written_is_listed_all_the_same(folder, monkeypatch, capsys):
    def refuse(*anything, **more):
        raise UserError("cannot write")

    monkeypatch.setattr(indexing, "write_atomically", refuse)
    (folder / ".index.jsonl").unlink(missing_ok=True)
    print_runs(list_runs(folder), folder)
    print_runs_by_seed(list_runs(folder), folder)
    assert "unfinished" in capsys.readouterr().out
    assert not (folder / ".index.jsonl").exists()


def test_lists_say_the_same_from_the_index(folder, capsys):
    said = []
    for _ in range(2):
        print_runs(list_runs(folder), folder)
        print_runs_by_seed(list_runs(folder), folder)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "91.00 ± 1.00" in said[0]


def test_thousands_of_runs_are_listed_at_once(tmp_path, capsys):
    for at in range(1000):
        write_run(tmp_path, f"run-{at:04}", seed=at % 3, lr=at // 3 + 1, test=0.9)
    for run in tmp_path.iterdir():
        for path in (*run.iterdir(), run):
            os.utime(path, ns=(10**18, 10**18))
    look(tmp_path)

    def both():
        print_runs_by_seed(list_runs(tmp_path), tmp_path)
        print_runs(list_runs(tmp_path), tmp_path)
        assert len(capsys.readouterr().out.splitlines()) == 334 + 2 + 1000 + 2

    assert cpu_seconds(both) < 2
