"""What an epoch chosen otherwise would have come to."""

from dataclasses import replace

import pytest

from processes import run
from reslab.runs.record import Choice
from reslab.runs.store import RunDirectory
from reslab.tables.collect import Result
from reslab.tables.columns import as_text, choose
from reslab.tables.finished import contradictions, read_finished
from reslab.tables.plan import load_table
from reslab.tables.summaries import summarize
from synthetic import ON_DIGITS, finish, own_table
from training import EVERY_STEP, only_run

ASKED = (
    *("train", "model=baseline_cnn", "model.widths=[8,8,8]", "trainer=exact", "logger=none"),
    *("optimizer.lr=0.1", "trainer.max_epochs=8"),
)


def record(folder):
    return RunDirectory(only_run(folder)).record()


@pytest.fixture(scope="module")
def chosen_by(tmp_path_factory):
    """The same training, its epoch chosen by each metric."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("loss", "accuracy")}
    for name, folder in folders.items():
        assert run(folder, *ASKED, f"monitor=val/{name}").code == 0
    return {f"val/{name}": record(folder) for name, folder in folders.items()}


@pytest.mark.slow
def test_each_choice_is_what_a_run_comes_to_that_chooses_by_it(chosen_by):
    epochs = [one.best_epoch for one in chosen_by.values()]
    assert len({*epochs, 8}) == 3, "the test needs a training in which the choices differ"
    for one in chosen_by.values():
        assert one.choices == {
            metric: Choice(other.best_epoch, other.test_accuracy)
            for metric, other in chosen_by.items()
        }


def test_a_choice_outlives_a_kill(chosen_by, tmp_path):
    last = max(one.best_epoch for one in chosen_by.values())
    killed = run(tmp_path, *ASKED, "monitor=val/loss", EVERY_STEP, kill=("epoch", last))
    assert killed.killed
    assert run(tmp_path, *ASKED, "monitor=val/loss", EVERY_STEP).code == 0
    assert record(tmp_path).choices == chosen_by["val/loss"].choices


@pytest.fixture
def cells(in_empty_folder, monkeypatch):
    own_table(in_empty_folder, monkeypatch=monkeypatch)
    return load_table("own", ON_DIGITS).cells


def test_a_table_has_a_column_for_each_choice_where_all_records_say_it(cells):
    first, second = cells[:2]
    for cell, by_accuracy in ((first, 0.5), (second, 0.6)):
        choices = {"val/loss": Choice(3, 0.25), "val/accuracy": Choice(3, by_accuracy)}
        finish(cell, choices=choices)
    results = [Result(cell, "finished", run=read_finished(cell)) for cell in (first, second)]
    headings, (row,) = as_text(choose([summarize(first.row, results)], ["choices"]))
    said = dict(zip(headings, row, strict=True))
    assert said["By val. loss, %"] == "25.00 ± 0.00"
    assert said["By val. acc., %"] == "55.00 ± 7.07"  # 10 / sqrt(2)
    older = replace(results[1].run.record, choices=None)
    results[1] = replace(results[1], run=replace(results[1].run, record=older))
    headings, _ = as_text(choose([summarize(first.row, results)], ["choices"]))
    assert not {"By val. loss, %", "By val. acc., %"} & {*headings}


def test_a_record_whose_choice_is_not_its_curve_s_is_contradicted(cells):
    finish(cells[0], choices={"val/loss": Choice(3, 0.5), "val/accuracy": Choice(2, 0.5)})
    assert contradictions(read_finished(cells[0])) == ["val/accuracy does not choose epoch 2"]
