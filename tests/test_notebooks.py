"""The notebooks run from top to bottom, on some batches of digits and narrow networks."""

import os
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from conftest import REPOSITORY

SHORTENED = "+trainer.limit_train_batches=4 model.widths=[8,16,32,64]"
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_train_and_inspect",
        "02_paper_tables",
        "03_gradient_flow",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(path):
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.long
def test_they_run_one_after_the_other_in_one_folder(tmp_path, monkeypatch):
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    resources = {"metadata": {"path": str(tmp_path)}}
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, 4)
        for cell in notebook.cells:
            cell.source = re.sub(r"trainer\.max_epochs=\d+", rf"\g<0> {SHORTENED}", cell.source)
        nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
        shown = [
            output.get("data", {}).keys() | {output.get("name")}
            for cell in notebook.cells
            if cell.cell_type == "code"
            for output in cell.outputs
        ]
        assert any("image/png" in kinds for kinds in shown)
        number = path.stem[:2]
        records = list((tmp_path / f"outputs/{number}").glob("*/metrics.json"))
        assert len(records) == {"01": 1, "02": 4, "03": 3}[number]
