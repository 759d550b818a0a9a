"""The records in `outputs/reference`, against themselves and the tables rendered from them."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from pages import REFERENCE
from reslab.cli import cli
from reslab.tables import figures, page

DEMO = ("liu_goh", "dataset=digits", "seed=0,1", "trainer.max_epochs=3")
KEPT = {
    DEMO: "liu_goh/digits",
    ("liu_goh",): "liu_goh/cifar10",
    ("liu_goh_readings",): "liu_goh_readings/cifar10",
    ("virakden",): "virakden/mnist",
    ("resnet3",): "resnet3/cifar10",
    ("bhise_karale",): "bhise_karale/cifar10",
    ("he2016",): "he2016/cifar10",
    ("system",): "system/mnist+cifar10",
    ("speed_cpu",): "speed_cpu/cifar10",
}


def call(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.parametrize("table", KEPT, ids=KEPT.get)
def test_the_committed_records_are_whole_and_give_the_committed_table(
    table, in_empty_folder, monkeypatch
):
    """Records are what they were when they were kept; rendered anew, they are the pages' rows."""
    shutil.copytree(REFERENCE / KEPT[table], in_empty_folder / "outputs/reference" / KEPT[table])
    records = list((REFERENCE / KEPT[table] / "runs").iterdir())
    assert len(re.findall(r"PASS +MISSING", call("verify", *table))) == len(records) > 0
    monkeypatch.setattr(figures, "draw_all", lambda *_: ([], []))  # which are not compared
    monkeypatch.setattr(page, "write_page", lambda *_: [])
    call("table", *table, "--reference", "--output", "fresh")
    fresh, committed = (folder / KEPT[table] for folder in (in_empty_folder / "fresh", REFERENCE))
    for name in ("table.csv", "macros.tex", "claims.md"):
        assert (fresh / name).read_text() == (committed / name).read_text()
    answers = [(folder / "checklist.md").read_text() for folder in (fresh, committed)]
    assert len({text.partition("#### Central")[0] for text in answers}) == 1  # then the remarks
    rows = [
        [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
        for folder in (fresh, committed)
    ]
    assert rows[0] == rows[1]
    contents = [json.loads((folder / "table.json").read_text()) for folder in (fresh, committed)]
    assert contents[0]["pairs"] == contents[1]["pairs"]


def test_the_readings_page_says_what_the_records_say():
    """Its five statements, in their order, of the numbers in the table that it shows."""
    content = json.loads((REFERENCE / "liu_goh_readings/cifar10/table.json").read_text())
    rows = {row["model"]: row for row in content["rows"]}
    pairs = {(pair["first"], pair["second"]): pair for pair in content["pairs"]}
    mini, skip = "Mini-ResNet, stride {}", "ResNet-18, skip, stride {}"
    plain = "ResNet-18, no skip, stride {}"

    def gaps(name):
        row = rows[name]
        return [row[by] - row["published_accuracy"] for by in ("by_loss", "by_accuracy", "last")]

    for network in (mini, skip):
        assert max(gaps(network.format(2))) < -3
        assert all(abs(gap) < 1 for gap in gaps(network.format(1)))
    for name, row in rows.items():
        assert 0 <= row["by_accuracy"] - row["by_loss"] < (0.5 if "stride 1" in name else 2)
    runs = REFERENCE / "liu_goh_readings/cifar10/runs"
    for stride in (1, 2):
        named = (f"mini-resnet-stride-{stride}{way}-s0" for way in ("", "-keras-peeking"))
        ours, theirs = (json.loads((runs / name / "metrics.json").read_text()) for name in named)
        assert 0 < theirs["test/accuracy"] - ours["test/accuracy"] < 0.01
    assert pairs[skip.format(1), plain.format(1)]["adjusted_p"] > 0.05
    halved = pairs[skip.format(2), plain.format(2)]
    assert halved["difference"] < 0
    assert halved["adjusted_p"] < 0.05
    assert min(gaps(plain.format(1))) > 3
    minutes = [rows[name.format(2)]["published_minutes"] for name in (skip, plain)]
    assert 8.5 < minutes[1] / minutes[0] < 9
    assert rows[plain.format(2)]["macs"] < rows[skip.format(2)]["macs"]
    table = json.loads((REFERENCE / "liu_goh/cifar10/table.json").read_text())
    (cnn,) = [row for row in table["rows"] if row["model"] == "Baseline CNN"]
    for key, stride, grows in (
        ("published_minutes", 2, (3.5, 12)),
        ("macs", 2, (2.4, 9.4)),
        ("macs", 1, (9.3, 37)),
    ):
        found = [rows[name.format(stride)][key] / cnn[key] for name in (mini, skip)]
        assert found == pytest.approx(grows, rel=0.02), (key, stride)
    assert rows[mini.format(1)]["macs"] / rows[mini.format(2)]["macs"] == pytest.approx(4, abs=0.1)
    assert rows[mini.format(1)]["parameters"] == rows[mini.format(2)]["parameters"]
