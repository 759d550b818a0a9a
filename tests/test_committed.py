"""The records in `outputs/reference`, against themselves and the tables rendered from them."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner

from pages import REFERENCE
from reslab.cli import cli
from reslab.tables import render

DEMO = ("liu_goh", "dataset=digits", "seed=0,1", "trainer.max_epochs=3")
KEPT = {
    DEMO: "liu_goh/digits",
    ("liu_goh",): "liu_goh/cifar10",
    ("liu_goh_readings",): "liu_goh_readings/cifar10",
    ("virakden",): "virakden/mnist",
    ("resnet3",): "resnet3/cifar10",
    ("system",): "system/mnist+cifar10",
}


def call(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("table", KEPT, ids=KEPT.get)
def test_the_committed_records_are_whole_and_give_the_committed_table(
    table, in_empty_folder, monkeypatch
):
    """Records are what they were when they were kept; rendered anew, they are the pages' rows."""
    shutil.copytree(REFERENCE / KEPT[table], in_empty_folder / "outputs/reference" / KEPT[table])
    records = list((REFERENCE / KEPT[table] / "runs").iterdir())
    assert len(re.findall(r"PASS +MISSING", call("verify", *table))) == len(records) > 0
    for pictures in ("draw_all", "write_page"):  # none of which is compared
        monkeypatch.setattr(render, pictures, lambda *_: [])
    call("table", *table, "--reference", "--output", "fresh")
    fresh, committed = (folder / KEPT[table] for folder in (in_empty_folder / "fresh", REFERENCE))
    for name in ("table.csv", "macros.tex"):
        assert (fresh / name).read_text() == (committed / name).read_text()
    rows = [
        [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
        for folder in (fresh, committed)
    ]
    assert rows[0] == rows[1]
    contents = [json.loads((folder / "table.json").read_text()) for folder in (fresh, committed)]
    assert contents[0]["pairs"] == contents[1]["pairs"]
