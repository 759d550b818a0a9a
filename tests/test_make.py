"""A table is rendered anew where something that it is made of has changed, and else left alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cpu_time import children_take_less
from reslab.cli import cli
from reslab.config import folder_added
from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.tables import figures, page
from reslab.tables.plan import load_table
from synthetic import ON_DIGITS, finish, own_table

ONE_ROW = """
title: One row
seeds: [0, 1, 2]
rows:
  - {name: Residual, recipe: resnet3, published: {accuracy: 91.25}}
"""
TABLE = ("table", "own", *ON_DIGITS)
PLACE = Path("outputs/tables/own/digits")
LONG_AGO = 10**18  # ns


def settle(folder):
    """Has all runs be as old as if they had been written long ago."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the finished runs of a table, but for one seed's."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, ONE_ROW, patch)
        for cell in load_table("own", ON_DIGITS).cells[:2]:
            finish(cell)
    return folder


@pytest.fixture
def drawn(finished, tmp_path, monkeypatch):
    """The folders that pictures were drawn in, in a folder with such runs."""
    monkeypatch.chdir(shutil.copytree(finished, tmp_path / "copy"))
    settle(Path("outputs/runs"))
    own_table(Path.cwd(), ONE_ROW, monkeypatch)
    folders = []

    def draw(findings, folder, reporter):
        folder.mkdir(exist_ok=True)
        (folder / "curves.png").write_text("drawn")
        folders.append(folder)
        return ["curves"], ["network-residual could not be drawn"]

    monkeypatch.setattr(figures, "draw_all", draw)
    monkeypatch.setattr(
        page, "write_page", lambda findings, path, *parts: (path.write_text("page"), path)[1]
    )
    return folders


def call(*arguments):
    done = CliRunner().invoke(cli, arguments)
    said = [line for line in done.output.splitlines() if not line.startswith("drawing its page")]
    return done.exit_code, "\n".join(said), str(done.exception)


def test_what_is_as_it_was_is_not_rendered_again_and_the_same_is_said(drawn):
    first = call(*TABLE)
    assert "Residual" in first[1]
    assert "warning: network-residual could not be drawn" in first[1]
    assert first[2] == "reslab: 1 of 3 cells are missing, failed or damaged"
    written = (PLACE / "table.json").stat()
    assert call(*TABLE) == first
    assert (PLACE / "table.json").stat() == written
    assert len(drawn) == 1


def test_it_still_goes_into_a_page(drawn):
    call(*TABLE)
    Path("page.md").write_text(f"<!-- table {PLACE}/table.md -->\n<!-- end -->\n")
    call(*TABLE, "--readme", "page.md")
    assert "| Residual |" in Path("page.md").read_text()
    assert len(drawn) == 1


def the_run(seed):
    return load_table("own", ON_DIGITS).cells[seed].directory


def change_record():
    file = the_run(1).record_file
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": 77.0}))


def lose_predictions():
    the_run(1).predictions_file.unlink()


def begin_a_run():
    run = the_run(2)
    run.path.mkdir()
    run.failure_file.write_text("the reason")


def lose_a_picture():
    (PLACE / "figures/curves.png").unlink()


def edit_the_table():
    with (PLACE / "table.md").open("a") as file:
        file.write("edited\n")


def spoil_what_was_noted():
    noted = PLACE.parent / ".made.json"
    noted.write_text(noted.read_text()[:-9])


def empty_what_was_noted():
    (PLACE.parent / ".made.json").write_text("[]")


@pytest.mark.parametrize(
    "change",
    [
        *(begin_a_run, lose_a_picture, edit_the_table),
        *(spoil_what_was_noted, empty_what_was_noted),
    ],
)
def test_what_has_changed_is_rendered_anew(drawn, change):
    call(*TABLE)
    change()
    settle(Path("outputs/runs"))
    anew = call(*TABLE)
    assert len(drawn) == 2
    assert call(*TABLE) == anew
    assert len(drawn) == 2


@pytest.mark.parametrize("damage", [change_record, lose_predictions])
def test_what_is_damaged_is_looked_at_each_time(drawn, damage):
    call(*TABLE)
    damage()
    settle(Path("outputs/runs"))
    assert "2 of 3 cells are missing, failed or damaged" in call(*TABLE)[2]
    call(*TABLE)
    assert len(drawn) == 3


def test_a_change_that_keeps_a_file_s_size_is_seen(drawn):
    before = call(*TABLE)
    file = the_run(1).predictions_file
    file.write_bytes(bytes(file.stat().st_size))
    assert "predictions.npz is missing, damaged" in call(*TABLE)[1]
    assert "predictions.npz" not in before[1]


def test_another_question_is_another_table(drawn, monkeypatch):
    call(*TABLE)
    call(*TABLE, "seed=0")
    assert len(drawn) == 2
    call(*TABLE)  # whose files are the other's now
    assert len(drawn) == 3
    monkeypatch.setenv("RESLAB_TARGETS", "json")
    call(*TABLE)
    assert len(drawn) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked", ["${oc.env:RUNS}", "${oc.env: 'RUNS'}", "${oc.env:RUNS,elsewhere}"]
)
def test_an_override_that_asks_the_environment_is_answered_anew(drawn, monkeypatch, asked):
    monkeypatch.setenv("RUNS", "outputs/runs")
    known = call(*TABLE, f"runs_dir={asked}")
    assert "1 of 3 cells" in known[2]
    for other in ("none", ""):
        monkeypatch.setenv("RUNS", other)
        assert "3 of 3 cells" in call(*TABLE, f"runs_dir={asked}")[2]


def test_a_record_that_cannot_be_read_for_a_moment_is_read_again(drawn, monkeypatch):
    def failing(run):
        raise UserError("input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "record", failing)
        assert "3 of 3 cells are missing, failed or damaged" in call(*TABLE)[2]
    assert "1 of 3 cells" in call(*TABLE)[2]


def test_a_run_that_others_may_read_from_now_on_is_read_again(drawn):
    call(*TABLE)
    the_run(1).predictions_file.chmod(0o444)
    call(*TABLE)
    assert len(drawn) == 2


def test_a_table_in_whose_folder_another_was_rendered_meanwhile_is_rendered_anew(
    drawn, monkeypatch
):
    def draw(findings, folder, reporter, real=figures.draw_all):
        found = real(findings, folder, reporter)
        if len(drawn) == 1:
            call(*TABLE, "seed=0")
        return found

    monkeypatch.setattr(figures, "draw_all", draw)
    call(*TABLE)
    assert "1 of 3 cells" in call(*TABLE)[2]
    assert len(drawn) == 3


@pytest.mark.slow
def test_of_a_user_s_folder_configurations_count_and_nothing_else(drawn):
    run, *options = (
        Path("mine") / name
        for name in ("runs/run-0/config.yaml", "model/deep/own.yaml", "parts/own.yaml", "own.yaml")
    )
    for file in (run, *options):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("width: 1")
    with folder_added(Path("mine")):
        call(*TABLE)
        run.write_text("width: 2")
        call(*TABLE)
        assert len(drawn) == 1
        for number, file in enumerate(options, 2):
            file.write_text("width: 2")
            call(*TABLE)
            assert len(drawn) == number


def test_a_table_of_another_folder_s_runs_is_another(drawn, monkeypatch, tmp_path):
    output = ("--output", str(Path.cwd() / "outputs/tables"))
    call(*TABLE, *output)
    monkeypatch.chdir(tmp_path)
    assert "3 of 3 cells" in call(*TABLE, *output)[2]


def test_a_run_that_was_written_just_now_may_change_unseen(drawn):
    run = the_run(1)
    os.utime(run.record_file, (time.time() + 60, time.time() + 60))
    call(*TABLE)
    call(*TABLE)
    assert len(drawn) == 2


def test_records_that_are_kept_are_rendered_each_time(drawn):
    call(*TABLE, "--keep")
    call(*TABLE, "--reference")
    call(*TABLE, "--reference")
    assert len(drawn) == 3


SHOWN = """
import sys
from reslab.tables.make import render_table
from reslab.terminal.tables import print_content

def show(content):
    print_content(content)
    assert not {"torch", "matplotlib", "bokeh"} & set(sys.modules)
    sys.exit("shown")

render_table("liu_goh", ["dataset=digits", "seed=0,1"], show=show)
"""


@pytest.mark.long
def test_who_asks_for_a_table_reads_it_before_its_pictures_are_drawn(in_empty_folder):
    """With its interval and comparisons, in two seconds; the pictures' libraries take longer."""
    for cell in load_table("liu_goh", ["dataset=digits", "seed=0,1"]).cells:
        finish(cell, images=10_000)

    def until_shown():
        done = subprocess.run([sys.executable, "-c", SHOWN], capture_output=True, text=True)
        assert "differences on the same test images" in done.stdout
        assert "8 of 8" not in done.stdout
        assert done.stderr == "shown\n"

    assert children_take_less(4, until_shown)


def test_the_command_shows_it_before_it_draws(drawn, monkeypatch):
    read = []

    def draw(findings, folder, reporter, real=figures.draw_all):
        read.append(sys.stdout.buffer.getvalue().decode())  # what CliRunner takes
        return real(findings, folder, reporter)

    monkeypatch.setattr(figures, "draw_all", draw)
    call(*TABLE)
    assert "Residual" in read[0]


# With ten recipes, he2016 is the one that takes longest to compose. PyTorch alone would be over both.
@pytest.mark.slow
@pytest.mark.parametrize(("table", "limit"), [("liu_goh", 4.0), ("he2016", 6.0)])
def test_a_look_at_a_table_takes_no_time_to_speak_of(in_empty_folder, table, limit):
    """Neither where nothing is run yet nor where nothing has changed, as a process of its own."""
    noted = Path("outputs/tables") / table / ".made.json"

    def look():
        command = [sys.executable, "-m", "reslab", "table", table]
        done = subprocess.run(command, capture_output=True, text=True)
        assert "cells are missing" in done.stderr
        assert noted.exists()

    def look_anew():
        shutil.rmtree("outputs", ignore_errors=True)
        look()

    assert children_take_less(limit, look_anew)
    written = noted.stat().st_mtime_ns
    assert children_take_less(1, look)
    assert noted.stat().st_mtime_ns == written
