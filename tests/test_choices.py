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
    """The same training, its epoch chosen by each metric, and what was asked for.

    How a training goes depends on the processor, so one is sought in which the choices differ.
    """
    for seed in range(8):
        asked = (*ASKED, f"seed={seed}")
        by_loss = trained(tmp_path_factory.mktemp("loss"), *asked, "monitor=val/loss")
        if len({8, *(choice.epoch for choice in by_loss.choices.values())}) == 3:
            break
    by_accuracy = trained(tmp_path_factory.mktemp("accuracy"), *asked, "monitor=val/accuracy")
    return {"val/loss": by_loss, "val/accuracy": by_accuracy}, asked


def trained(folder, *arguments):
    assert run(folder, *arguments).code == 0
    return record(folder)


@pytest.mark.long
def test_each_choice_is_what_a_run_comes_to_that_chooses_by_it(chosen_by):
    records, _ = chosen_by
    epochs = [one.best_epoch for one in records.values()]
    assert len({*epochs, 8}) == 3, "the test needs a training in which the choices differ"
    for one in records.values():
        assert one.choices == {
            metric: Choice(other.best_epoch, other.test_accuracy)
            for metric, other in records.items()
        }


@pytest.mark.long
def test_a_choice_outlives_a_kill(chosen_by, tmp_path):
    records, asked = chosen_by
    last = max(one.best_epoch for one in records.values())
    arguments = (*asked, "monitor=val/loss", EVERY_STEP)
    assert run(tmp_path, *arguments, kill=("epoch", last)).killed
    assert run(tmp_path, *arguments).code == 0
    assert record(tmp_path).choices == records["val/loss"].choices


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
    wrong, twice = contradictions(read_finished(cells[0]))
    assert wrong == "val/accuracy does not choose epoch 2"
    assert twice.startswith("test/accuracy by val/loss is 0.5, and ")
