"""The index of runs: a copy that is never taken for the runs themselves."""

import errno
import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
import yaml

from cpu_time import cpu_seconds
from reslab.errors import UserError
from reslab.runs import index as indexing
from reslab.runs.index import Index
from reslab.runs.repeat import Repeat
from reslab.runs.store import RunDirectory, list_runs
from reslab.studio.scan import SECONDS_BETWEEN_LOOKS, Scan
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


def settle(folder):
    """Has all runs in a folder be as old as if they had been written long ago."""
    for run in folder.iterdir():
        if run.is_dir():
            for path in (*run.iterdir(), run):
                os.utime(path, ns=(10**18, 10**18))


@pytest.fixture
def folder(tmp_path):
    """Three seeds, a search's trial that was not tested, and an unfinished run."""
    for seed in range(3):
        write_run(tmp_path, f"run-{seed}", seed=seed, test=0.9 + seed / 100)
    (write_run(tmp_path, "trial", seed=4) / "untested.txt").write_text("untested")
    write_run(tmp_path, "unfinished", seed=5)
    settle(tmp_path)
    return tmp_path


def look(folder):
    """What all runs are, as a process sees them that has just begun."""
    index = Index(folder)
    found = {run.name: what_was_read(index.read(run)) for run in list_runs(folder)}
    index.save()
    return found


def lines_of(folder):
    return (folder / ".index").read_text().splitlines()


def what_was_read(one):
    return (
        one.name,
        one.group,
        one.config,
        one.record,
        one.recipe,
        one.seed,
        one.begun,
        one.standing,
    )


def test_a_run_is_read_once_and_the_same_as_without_an_index(folder, read):
    first = look(folder)
    assert first == look(folder)
    assert sorted(read) == sorted(first)
    assert {"run-0", "trial", "unfinished"} <= first.keys()


def change_record(run):
    content = json.loads(run.record_file.read_text())
    run.record_file.write_text(json.dumps(content | {"test/accuracy": 0.5}))


def remove_record(run):
    run.record_file.unlink()


def change_config(run):
    text = run.config_file.read_text()
    run.config_file.write_text(text.replace("lr: 0.1", "lr: 0.25"))


def change_request(run):
    content = json.loads(run.request_file.read_text())
    run.request_file.write_text(json.dumps(content | {"begun": "2001-01-01T00:00:00+0000"}))


def add_epoch(run):
    with run.metrics_file.open("a") as file:
        file.write("3,0.95,60.0\n")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("run-1", change) for change in (change_record, remove_record, change_config)),
        *((name, change_request) for name in ("run-1", "trial")),
        *((name, add_epoch) for name in ("trial", "unfinished")),
    ],
)
def test_what_has_changed_is_read_again_though_the_folder_is_as_old(folder, read, name, change):
    before = look(folder)[name]
    read.clear()
    run = RunDirectory(folder / name)
    change(run)
    os.utime(run.path, ns=(10**18, 10**18))
    found = look(folder)[name]
    assert found != before
    assert read == [name]
    assert found == what_was_read(Repeat.read(run))


def test_what_was_written_just_now_is_not_kept_as_it_may_change_unseen(folder, read):
    write_run(folder, "new", seed=7, test=0.5)
    look(folder)
    look(folder)
    assert read.count("new") == 2


@pytest.mark.parametrize("name", ["metrics.json", "metrics.csv", "request.json"])
def test_what_cannot_be_read_for_a_moment_is_read_again(folder, monkeypatch, name):
    truth = {run.name: what_was_read(Repeat.read(run)) for run in list_runs(folder)}

    def stale(path, *how, real=Path.open, **more):
        if path.name == name:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return real(path, *how, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", stale)
        patch.setattr(Path, "read_text", lambda path: stale(path).read())
        assert look(folder) != truth
    assert look(folder) == truth


def test_what_was_written_within_the_two_seconds_that_fat_tells_apart_is_read_again(folder, read):
    now = time.time()
    os.utime(folder / "run-1/metrics.json", (now - 1.5, now - 1.5))
    look(folder)
    look(folder)
    assert read.count("run-1") == 2


def test_a_studio_reads_a_record_again_that_could_not_be_read_for_a_moment(folder, monkeypatch):
    def stale(run):
        raise UserError("stale file handle")

    scan = Scan(folder)
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "record", stale)
        scan.read_all()
    assert scan.known("run-1").repeat.record is None
    time.sleep(SECONDS_BETWEEN_LOOKS)
    scan.read_all()
    assert scan.known("run-1").repeat.record.test_accuracy == 0.91


def test_a_record_that_others_may_read_from_now_on_is_read_again(folder, read):
    look(folder)
    read.clear()
    (folder / "run-1/metrics.json").chmod(0o444)
    look(folder)
    assert read == ["run-1"]


def test_a_file_of_the_same_size_and_age_in_another_s_place_is_read(folder):
    look(folder)
    run = RunDirectory(folder / "run-1")
    new = run.path / "new"
    new.write_text(run.record_file.read_text().replace("0.91", "0.19"))
    new.rename(run.record_file)
    settle(folder)
    assert look(folder)["run-1"][3].test_accuracy == 0.19


def test_what_is_new_is_added_and_of_two_lines_the_later_one_counts(folder):
    look(folder)
    size = len(lines_of(folder))
    run = RunDirectory(folder / "run-1")
    change_record(run)
    for path in (run.record_file, run.path):
        os.utime(path, ns=(2 * 10**17, 2 * 10**17))
    look(folder)
    assert [line.split("\t")[0] for line in lines_of(folder)[size:]] == ['"run-1"']
    assert look(folder)["run-1"][3].test_accuracy == 0.5


def test_a_file_of_many_old_lines_is_written_anew(folder):
    run = RunDirectory(folder / "run-1")
    for age in range(20):
        os.utime(run.record_file, ns=(10**17 + age, 10**17 + age))
        look(folder)
    assert len(lines_of(folder)) < 15


def test_runs_that_are_deleted_are_forgotten(folder):
    for age in range(6):
        trials = [write_run(folder, f"trial-{age}-{seed}", seed=seed) for seed in range(5)]
        settle(folder)
        look(folder)
        for trial in trials:
            shutil.rmtree(trial)
    assert len(lines_of(folder)) < 1 + 2 * (5 + 5) + 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[:-1] + [lines[-1][:40]],
        lambda lines: [lines[0], *(line[:-30] + "]}" for line in lines[1:])],
        lambda lines: [lines[0], "".join(lines[1:])],
        lambda lines: [lines[0], '"run-0"', '"run-1"\t\t\t\t\t', "\t", "", *lines[1:]],
        lambda lines: [lines[0], *(line.replace("0.9", "0.1") for line in lines[1:])],
        lambda lines: ["version another", *(line.replace("0.9", "0.1") for line in lines[1:])],
        lambda lines: ["\x00"],
        lambda lines: [],
    ],
)
def test_a_spoilt_or_foreign_index_changes_nothing(folder, spoil):
    truth = look(folder)
    (folder / ".index").write_text("\n".join(spoil(lines_of(folder))))
    assert look(folder) == truth
    assert look(folder) == truth


def test_what_another_version_adds_meanwhile_is_not_taken_for_this_one_s(folder, monkeypatch):
    truth = look(folder)
    (folder / ".index").unlink()

    def otherwise(name, stamp, one):
        line = b"\t".join([name, stamp, b'{"of": "another form"}', b"{}", b"", b""])
        return line + indexing._checksum(line)

    with monkeypatch.context() as patch:
        patch.setattr(indexing, "_version", lambda: b"version another")
        patch.setattr(indexing, "_line", otherwise)
        other = Index(folder)
        other.read(RunDirectory(folder / "run-0"))
        other.save()
        other.read(RunDirectory(folder / "run-1"))
    look(folder)  # which writes the file anew that the other one has begun
    other.save()
    assert lines_of(folder)[-1].startswith('"run-1"\t')
    assert look(folder) == truth


def test_a_folder_that_cannot_be_written_is_listed_all_the_same(folder, monkeypatch, capsys):
    def refuse(*anything, **more):
        raise UserError("cannot write")

    monkeypatch.setattr(indexing, "write_atomically", refuse)
    (folder / ".index").unlink(missing_ok=True)
    print_runs(list_runs(folder), folder)
    print_runs_by_seed(list_runs(folder), folder)
    assert "unfinished" in capsys.readouterr().out
    assert not (folder / ".index").exists()


def test_a_finished_run_whose_record_is_spoilt_is_damaged_in_lists(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (run,) = [one for one in list_runs(copy) if one.name == "run-0"]
    run.record_file.write_bytes(b"\xff\xfe")
    print_runs(list_runs(copy), copy)
    said = capsys.readouterr().out
    assert re.search(r"run-0 +damaged ", said)
    assert re.search(r"run-1 +finished ", said)


def test_lists_say_the_same_from_the_index(folder, capsys):
    said = []
    for _ in range(2):
        print_runs(list_runs(folder), folder)
        print_runs_by_seed(list_runs(folder), folder)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "91.00 ± 1.00" in said[0]


@pytest.fixture(scope="module")
def thousands(tmp_path_factory):
    """2,000 runs in groups of three seeds, of which each tenth is a trial that was not tested."""
    folder, originals = tmp_path_factory.mktemp("thousands"), tmp_path_factory.mktemp("originals")
    finished = write_run(originals, "finished", test=0.9)
    trial = write_run(originals, "trial")
    (trial / "untested.txt").write_text("untested")
    config = yaml.safe_load((trial / "config.yaml").read_text())
    for at in range(2000):
        original, run = trial if at % 10 == 9 else finished, folder / f"run-{at:04}"
        run.mkdir()
        for file in original.iterdir():
            os.link(file, run / file.name)
        (run / "config.yaml").unlink()
        config["seed"] = config["dataset"]["seed"] = at % 3
        config["optimizer"]["lr"] = at // 3 + 1
        (run / "config.yaml").write_text(json.dumps(config))  # which is YAML
    settle(folder)
    look(folder)
    return folder


# Of 10,000 runs two seconds, of which a command takes half a one to begin; twice that on slow machines.
SHARE = 2 * 2000 / 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("show", "lines"),
    [pytest.param(print_runs, 2000, marks=pytest.mark.long), (print_runs_by_seed, 667)],
)
def test_thousands_of_runs_are_listed_at_once(thousands, show, lines, capsys):
    def listed():
        show(list_runs(thousands), thousands)
        assert len(capsys.readouterr().out.splitlines()) == lines + 2

    assert cpu_seconds(listed) < 1.5 * SHARE


@pytest.mark.slow
def test_a_studio_that_begins_has_thousands_of_runs_at_once(thousands):
    def sent():
        scan = Scan(thousands)
        scan.read_all()
        assert len(json.loads(json.dumps(scan.changes()))["lines"]) == 2000 + 667

    assert cpu_seconds(sent) < 2 * SHARE


@pytest.mark.slow
def test_a_studio_that_has_thousands_of_runs_is_idle_between_changes(thousands):
    scan = Scan(thousands)
    scan.read_all()

    def next_look():
        time.sleep(SECONDS_BETWEEN_LOOKS)
        assert not scan.changes(scan.changes()["cursor"])["lines"]

    assert cpu_seconds(next_look) < 0.2 * SHARE
