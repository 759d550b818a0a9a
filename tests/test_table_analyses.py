"""A table shows what is kept of its runs' analyses, finds nothing itself, and is made anew for it."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from reslab.analyze.landscape import Settings
from reslab.runs import checkpoint as files
from reslab.runs.analyses import Analysis
from reslab.tables.make import render_table
from reslab.tables.plan import load_table
from synthetic import ON_DIGITS, finish, own_table
from test_make import ONE_ROW, settle

pytestmark = pytest.mark.slow


def keep(run, weights: torch.Tensor, digest: str | None = None) -> None:
    """A network of one weight, and a landscape of 3 points along each side."""
    files.save({"state_dict": {"w": weights}, "reslab": {}}, run.best)
    usual = hashlib.sha256(b"w" + weights.numpy().tobytes()).hexdigest()[:16]
    asked = Settings(points=3, line_points=3).__dict__ | {"weights": digest or usual, "bf16": False}
    values = np.random.default_rng(0).uniform(0.1, 0.9, (12, 2))
    analysis = Analysis(run, "landscape", asked)
    with analysis.alone():
        analysis.write({"values": values, "images": np.array(7)})


def no_others(findings, folder, *_):
    """What draws a table's other pictures, without them."""
    folder.mkdir(parents=True, exist_ok=True)
    return [], []


def test_a_row_is_shown_by_its_first_seed_that_has_one_and_what_is_spoilt_is_a_remark(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reslab.tables.figures.draw_all", no_others)
    own_table(tmp_path, ONE_ROW, monkeypatch)
    cells = load_table("own", ON_DIGITS).cells
    for cell in cells:
        finish(cell)
        cell.directory.checkpoints.mkdir(exist_ok=True)
    settle(Path("outputs/runs"))
    rendered = render_table("own", ON_DIGITS)
    figures, page = rendered.folder / "figures", rendered.folder / "page.html"
    assert not list(figures.glob("landscape-*"))
    assert "<h2>Analyses</h2>" not in page.read_text()
    # The first is of another training, the second and the third are of these.
    keep(cells[0].directory, torch.ones(1), digest="0" * 16)
    keep(cells[1].directory, torch.ones(2))
    keep(cells[2].directory, torch.ones(3))
    settle(Path("outputs/runs"))
    rendered = render_table("own", ON_DIGITS)
    assert rendered.warnings == ()
    assert {one.suffix for one in figures.glob("landscape-*")} == {".png", ".pdf"}
    text = page.read_text()
    assert "<h2>Analyses</h2>" in text
    accuracy = cells[1].directory.record().test_accuracy
    assert f"Residual, test {accuracy:.2%}" in text
    assert "mean over 7 training images" in text
    assert "points=3 line_points=3" in text
    (spoilt,) = cells[1].directory.analyses.glob("*.npz")
    spoilt.write_bytes(b"PK no more")
    settle(Path("outputs/runs"))
    rendered = render_table("own", ON_DIGITS)
    assert len(rendered.warnings) == 1
    assert "damaged or foreign" in rendered.warnings[0]
    assert "<h2>Analyses</h2>" in page.read_text()
