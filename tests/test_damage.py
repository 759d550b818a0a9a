"""A spoilt or foreign file of one cell is that cell's fault alone."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from processes import run, run_undrawn
from reslab.cli.app import objective
from reslab.errors import UserError
from reslab.runs.store import RunDirectory, list_runs
from reslab.tables.collect import collect
from reslab.tables.findings import sum_up
from reslab.tables.plan import load_table
from reslab.tables.render import as_json, markdown
from synthetic import IMAGES, ON_DIGITS, finish, own_table
from training import SMALL


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the six finished runs of a table, and the table."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, monkeypatch=patch)
        table = load_table("own", ON_DIGITS)
        for cell in table.cells:
            finish(cell)
    return folder, table


@pytest.fixture(scope="module")
def records(made):
    """What the runs recorded, by the names of their folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made[0])
        return {one.cell.directory.name: one.record for one in collect(made[1])}


@pytest.fixture
def copy(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made[0], tmp_path / "copy")
    monkeypatch.chdir(folder)
    return folder


def npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def without_last_line(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:-1])


NAMES = np.array([str(name) for name in range(10)])
LABELS = np.zeros(IMAGES, dtype=np.int64)
LOGITS = np.zeros((IMAGES, 10), dtype=np.float16)
EVERY = {
    "empty": b"",
    "of bytes": bytes(range(256)),
    "cut": lambda content: content[: len(content) // 2],
    "gone": None,
    "a folder": "folder",
    "another run's": "other",
}
OWN = {
    "metrics.json": {
        "a list": b"[]",
        "no record": b"{}",
        "of half the fields": b'{"identity": "x", "seed": 0}',
        "altered": lambda content: content.replace(b'"seconds": ', b'"seconds": 1'),
    },
    "metrics.csv": {
        "without rows": lambda content: content.splitlines()[0],
        "without its last row": without_last_line,
        "of words": lambda content: content.replace(b"0.1", b"fast"),
        "of one column": b"epoch\n1\n2\n3\n",
        "of no table": b"a,b\n1\n1,2,3\n",
    },
    "gradients.csv": {
        "without rows": lambda content: content.splitlines()[0],
        "without its last row": without_last_line,
        "without an epoch": lambda content: b"\n".join(
            line for line in content.splitlines() if not line.startswith(b"3,")
        ),
        "of words": lambda content: content.replace(b"0,stem", b"first,stem"),
        "of one column": b"epoch\n1\n",
        "of other paths": lambda content: content.replace(b"skip", b"jump"),
        "twice": lambda content: content + b"".join(content.splitlines(keepends=True)[1:]),
    },
    "predictions.npz": {
        "with a bit flipped": flipped,
        "one array": npy(),
        "of other names": npz(a=LABELS),
        "of too few labels": npz(logits=LOGITS, labels=LABELS[1:], class_names=NAMES),
        "of one dimension": npz(logits=LABELS, labels=LABELS, class_names=NAMES),
        "of words": npz(logits=LOGITS, labels=LABELS.astype(str), class_names=NAMES),
        "of other classes": npz(logits=LOGITS, labels=LABELS + 10, class_names=NAMES),
    },
    "config.yaml": {
        "no YAML": b"x: [",
        "a list": b"- 1\n",
        "text": b"hello\n",
        "without a network": b"seed: 0\n",
        "altered": lambda content: content.replace(b"label_smoothing: 0", b"label_smoothing: 0.1"),
    },
}
CASES = [
    pytest.param(name, how, id=f"{name} {kind}")
    for name in OWN
    for kind, how in (EVERY | OWN[name]).items()
    if (name, kind) not in (("gradients.csv", "gone"), ("metrics.json", "gone"))  # no damage
    if (name, kind) != ("gradients.csv", "another run's")  # nothing tells which run's they are
]


def spoil(path: Path, how, other: RunDirectory) -> None:
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how == "other":
        shutil.copyfile(other.path / path.name, path)
    elif how is not None:
        path.write_bytes(how if isinstance(how, bytes) else how(content))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), CASES)
def test_whatever_is_wrong_with_a_file_of_one_cell_the_others_are_rendered(
    name, how, made, records, copy
):
    table = made[1]
    cell = table.cells[2]
    spoil(cell.directory.path / name, how, table.cells[5].directory)
    results = collect(table)
    assert [r.state for r in results] == ["finished"] * 2 + ["damaged"] + ["finished"] * 3
    (reason,) = [r.reason for r in results if r.reason]
    assert str(cell.directory.path) in reason
    assert reason.endswith("rerun=true makes it anew")
    assert reason.isprintable()
    assert all(r.record == records[r.cell.directory.name] for r in results if r.record)
    findings = sum_up(table, results)
    assert [line["n"] for line in findings.lines] == [2, 1, 2]
    assert [pair.seeds for pair in findings.pairs] == [(1,), (0, 1)]
    text = markdown(as_json(findings))
    assert f"- Plain, seed 0: damaged: {reason}" in text
    assert "| 1/2 |" in text


def test_a_whole_table_has_nothing_to_say_of_damage(made, copy):
    findings = sum_up(made[1], collect(made[1]))
    assert findings.missing == 0
    assert not any("damaged" in note for note in findings.notes)


@pytest.mark.parametrize("kind", list(EVERY | OWN["metrics.csv"]))
def test_what_a_sweeper_reads_of_a_spoilt_curve_is_a_line_that_names_it(kind, made, copy):
    cell, other = (made[1].cells[at].directory for at in (2, 5))
    record, before = cell.record(), objective(cell, cell.record(), "val/accuracy")
    assert before == record.val_accuracy
    spoil(cell.metrics_file, (EVERY | OWN["metrics.csv"])[kind], other)
    if kind in ("another run's", "of words"):  # which are its rate's alone
        it_is = before if kind == "of words" else other.record().val_accuracy
        assert objective(cell, record, "val/accuracy") == it_is
        return
    with pytest.raises(UserError, match=rf"{cell.metrics_file.name} .*rerun=true makes it anew$"):
        objective(cell, record, "val/accuracy")


@pytest.mark.slow
def test_a_sweep_goes_on_past_a_finished_run_whose_curve_is_spoilt(tmp_path):
    asked = ("train", "-m", *SMALL, "logger=none", "+trainer.limit_train_batches=2")
    asked = (*asked, "trainer.max_epochs=1")
    assert run(tmp_path, *asked, "seed=0").code == 0
    (first,) = list_runs(tmp_path / "outputs/runs")
    first.metrics_file.write_bytes(bytes(range(256)))
    swept = run(tmp_path, *asked, "seed=0,1")
    assert swept.code == 1
    said = rf"reslab: failed: .* seed=0: \S+/{first.name}/metrics.csv is damaged or foreign"
    assert re.search(said, swept.err)
    assert "Traceback" not in swept.err
    assert [one.state() for one in list_runs(tmp_path / "outputs/runs")] == ["finished"] * 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"cannot write x: disk full\n\nTraceback", "cannot write x: disk full"),
        (b"", None),
        (b"\xff\xfe\x00\x01", r"'\ufffd\ufffd\x00\x01'"),
        (b"\x1b[31mred\n", r"'\x1b[31mred'"),
        ("folder", "failure.txt: Is a directory"),
    ],
)
def test_a_failure_is_told_as_far_as_it_is_text(content, said, made, copy):
    directory = made[1].cells[2].directory
    directory.record_file.unlink()
    if content == "folder":
        directory.failure_file.mkdir()
    else:
        directory.failure_file.write_bytes(content)
    findings = sum_up(made[1], collect(made[1]))
    (note,) = [note for note in findings.notes if note.startswith("Plain, seed 0: ")]
    assert note == "Plain, seed 0: failed" + (f": {said}" if said else "")


def test_the_time_of_a_run_under_way_does_not_need_its_history(made, copy):
    directory = made[1].cells[2].directory
    directory.record_file.unlink()
    (whole,) = [r.seconds for r in collect(made[1]) if r.state == "interrupted"]
    assert 3 <= whole <= 6
    directory.metrics_file.write_bytes(b"\xff\xfe")
    assert [r.seconds for r in collect(made[1]) if r.state == "interrupted"] == [0.0]


def test_rows_of_different_test_sets_are_not_compared_and_the_others_are(made, copy):
    """A whole run, but of another test set: nothing tells which of the two is the foreign one."""
    cell = made[1].cells[2]
    shutil.rmtree(cell.directory.path)
    finish(cell, images=100)
    findings = sum_up(made[1], collect(made[1]))
    assert findings.missing == 0
    assert [(pair.first, pair.second) for pair in findings.pairs] == [("Residual", "Padded")]
    assert "Residual - Plain: not compared, being of different test sets." in findings.notes


@pytest.mark.long
def test_commands_go_on_around_a_damaged_cell_and_do_not_overwrite_it(made, copy):
    arguments = ("--config-dir", "conf", "own", *ON_DIGITS)
    damaged, missing = (made[1].cells[at].directory.path for at in (2, 5))
    (copy / damaged / "predictions.npz").write_bytes(b"spoilt")
    shutil.rmtree(copy / missing)
    planned = run(copy, "reproduce", *arguments, "--plan")
    assert planned.code == 0, planned.err
    assert "4 of 6 cells are done" in planned.out
    assert [line.split()[2] for line in planned.out.splitlines() if line.startswith("Plain")] == [
        "damaged",
        "finished",
    ]
    reproduced = run(copy, "reproduce", *arguments)
    assert reproduced.code == 1
    assert "[1/1] Padded, seed 1" in reproduced.err
    assert "Plain, seed 0 is not run again, for its run is damaged" in reproduced.err
    assert "1 of 6 cells are missing, failed or damaged" in reproduced.error_line()
    assert "Plain, seed 0: damaged" in reproduced.out
    assert (copy / damaged / "predictions.npz").read_bytes() == b"spoilt"
    table = copy / "outputs/tables/own/digits"  # with gradients of two networks in one row
    assert "Plain, seed 0: damaged" in (table / "page.html").read_text()
    assert (table / "figures/confusion-plain.png").stat().st_size > 5000
    assert run_undrawn(copy, "table", *arguments).code == 1
    verified = run(copy, "verify", *arguments, "--reference", "outputs")
    assert verified.code == 1
    assert "Plain, seed 0: the run at hand is damaged" in verified.out
    anew = run_undrawn(copy, "reproduce", *arguments, "seed=0", "rerun=true")
    assert anew.code == 0, anew.err
    assert "[3/3]" in anew.err
    assert (copy / damaged / "predictions.npz").read_bytes() != b"spoilt"
