"""Keeping a record is all or nothing in effect, wherever it is broken off."""

import shutil

import pytest

from processes import run
from reslab.apps import reproduce as app
from reslab.tables.collect import collect
from reslab.tables.plan import load_table
from reslab.tables.reference import from_reference, keep_records
from reslab.tables.verify import verify
from synthetic import ON_DIGITS, compose_once, finish, own_table

TABLE = """
title: One network
seeds: [0]
rows:
  - {name: Residual, recipe: he2016/resnet20}
"""
FILES = (
    *("metrics.csv", "gradients.csv", "predictions.npz"),
    *("config.yaml", "metrics.json", "SHA256SUMS"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the one finished run of a table."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, TABLE, patch)
        (cell,) = load_table("own", ON_DIGITS).cells
        finish(cell)
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A copy of it, in which nothing is rendered."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    own_table(tmp_path, TABLE, monkeypatch)
    monkeypatch.setattr(app, "render", lambda *arguments: None)
    compose_once(monkeypatch)
    return tmp_path


def kept(folder):
    (path,) = (folder / "outputs/reference/own/digits/runs").iterdir()
    return path


def keep(folder):
    """What `reproduce --keep` does; the cells that it ran."""
    return app.reproduce("own", ON_DIGITS, keep=folder / "outputs/reference").launched


def verdict(folder):
    (one,) = verify("own", ON_DIGITS, reference=folder / "outputs/reference").verdicts
    return one


def test_a_kept_record_is_known_and_left_alone(folder):
    assert keep(folder) == ()
    before = {path.name: path.stat().st_mtime_ns for path in kept(folder).iterdir()}
    assert set(before) == set(FILES)
    assert keep(folder) == ()
    assert {path.name: path.stat().st_mtime_ns for path in kept(folder).iterdir()} == before
    assert (verdict(folder).record, verdict(folder).fresh) == ("PASS", "PASS")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(1, len(FILES) + 1))
def test_killed_between_any_two_files_it_is_kept_whole_the_next_time(number, folder):
    arguments = ("reproduce", "--config-dir", "conf", "own", *ON_DIGITS, "--keep")
    killed = run(folder, *arguments, kill=("keep", number))
    assert killed.killed, killed.err
    found = {path.name for path in kept(folder).iterdir() if not path.name.startswith(".")}
    assert found == set(FILES[: number - 1])
    (result,) = from_reference(load_table("own", ON_DIGITS), folder / "outputs/reference")
    assert result.state != "finished"
    assert keep(folder) == ()
    assert {path.name for path in kept(folder).iterdir()} == set(FILES)
    assert (verdict(folder).record, verdict(folder).fresh) == ("PASS", "PASS")


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_whatever_a_kept_record_lacks_it_is_copied_again_if_the_run_is_at_hand(name, folder):
    keep(folder)
    whole = {path.name: path.read_bytes() for path in kept(folder).iterdir()}
    path = kept(folder) / name
    altered = b"0" + whole[name] if name == "SHA256SUMS" else whole[name] + b"\n"
    for how, content in (("gone", None), ("empty", b""), ("altered", altered)):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        assert verdict(folder).record == "FAIL", how
        assert keep(folder) == (), how
        assert {path.name: path.read_bytes() for path in kept(folder).iterdir()} == whole, how
        assert verdict(folder).record == "PASS", how


@pytest.mark.parametrize("more", [b"a b c\n", b"alone\n", b"\xff\xfe  metrics.json\n", b"\n"])
def test_digests_of_a_kept_record_that_are_spoilt_are_named(more, folder):
    keep(folder)
    path = kept(folder) / "SHA256SUMS"
    path.write_bytes(path.read_bytes() + more)
    one = verdict(folder)
    assert one.record == "FAIL"
    assert "SHA256SUMS is missing or damaged" in " ".join(one.reasons)


def test_what_was_kept_by_half_is_run_where_no_run_is_at_hand(folder, monkeypatch):
    keep(folder)
    shutil.rmtree(folder / "outputs/runs")
    assert keep(folder) == ()
    (kept(folder) / "SHA256SUMS").unlink()
    monkeypatch.setattr(app, "_launch", lambda *arguments: ())
    assert [cell.row.name for cell in keep(folder)] == ["Residual"]


def test_a_run_of_a_version_without_gradients_can_be_kept(folder):
    (cell,) = load_table("own", ON_DIGITS).cells
    cell.directory.gradients_file.unlink()
    keep(folder)
    assert "gradients" not in (kept(folder) / "SHA256SUMS").read_text()
    assert verdict(folder).record == "PASS"


def test_keeping_over_another_configuration_s_record_is_refused_not_half_done(folder):
    keep(folder)
    before = {path.name: path.read_bytes() for path in kept(folder).iterdir()}
    other = load_table("own", (*ON_DIGITS, "optimizer.lr=0.5"))
    finish(other.cells[0])
    with pytest.raises(Exception, match=r"another configuration, which differs in optimizer\.lr"):
        keep_records(other, collect(other), folder / "outputs/reference")
    assert {path.name: path.read_bytes() for path in kept(folder).iterdir()} == before


def test_a_kept_record_of_another_configuration_does_not_answer_for_a_cell(folder):
    """Nothing is trained for a record that could not be kept in the end."""
    keep(folder)
    other = (*ON_DIGITS, "optimizer.lr=0.5")
    with pytest.raises(Exception, match=r"another configuration, which differs in optimizer\.lr"):
        app.reproduce("own", other, keep=folder / "outputs/reference")


def test_a_renamed_run_does_not_answer_for_a_cell(folder):
    (cell,) = load_table("own", ON_DIGITS).cells
    other = load_table("own", (*ON_DIGITS, "optimizer.lr=0.5"))
    cell.directory.path.rename(other.cells[0].directory.path)
    (result,) = collect(other)
    assert (result.state, result.run) == ("damaged", None)
    assert "is the directory of another run, which differs in optimizer.lr" in result.reason


def test_a_cell_that_was_begun_and_has_no_configuration_yet_is_not_missing(folder):
    table = load_table("own", (*ON_DIGITS, "optimizer.lr=0.5"))
    directory = table.cells[0].directory
    directory.path.mkdir()
    directory.request_file.write_text("{}")
    assert [one.state for one in collect(table)] == ["interrupted"]
