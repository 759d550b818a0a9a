"""Gradients as they are kept, and the numbers that every curve of a table is drawn from."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reslab.callbacks import Gradients
from reslab.nn import AddJoin, Join
from reslab.nn.blocks import BasicBlock
from reslab.tables import figures, frames, gradients, page
from reslab.tables.collect import collect
from reslab.tables.findings import sum_up
from reslab.tables.finished import read_gradients
from reslab.tables.plan import load_table
from synthetic import ON_DIGITS, finish, own_table


class Gate(nn.Module):
    """A user's join that knows nothing of reslab's."""

    def __init__(self, *shape):
        super().__init__()
        self.weighing = nn.Conv2d(4, 4, 1)

    def forward(self, x, branch):
        return self.weighing(x) + branch


class Merge(Join):
    def __init__(self):
        super().__init__()
        self.project = nn.Conv2d(4, 4, 1)

    def forward(self, x, branch):
        return self.project(x) + branch


class OwnBlock(nn.Module):
    """A user's block, in which the join has another name and the branch is called so."""

    def __init__(self):
        super().__init__()
        self.join = nn.Conv2d(4, 4, 3, padding=1)
        self.merge = Merge()

    def forward(self, x):
        return self.merge(x, self.join(x))


def own_network() -> nn.Module:
    blocks = (BasicBlock(1, 4, 2, AddJoin), BasicBlock(4, 4, 1, Gate), OwnBlock())
    return nn.Sequential(*blocks, nn.Flatten())


PATHS = {
    "0.branch.0": "main",
    "0.branch.3": "main",
    "0.join.shortcut.0": "skip",
    "1.branch.0": "main",
    "1.branch.3": "main",
    "1.join.weighing": "skip",
    "2.join": "main",
    "2.merge.project": "skip",
}


def step(callback: Gradients, network: nn.Module, begin: bool = True) -> None:
    """One epoch of one batch."""
    module = SimpleNamespace(network=network)
    trainer = SimpleNamespace(
        global_step=1, num_training_batches=1, should_stop=False, current_epoch=0
    )
    if begin:
        callback.on_train_start(trainer, module)
    network(torch.randn(2, 1, 4, 4)).square().sum().backward()
    callback.on_train_batch_end(trainer, module, None, None, 0)
    callback.on_validation_end(trainer, module)


def test_a_layer_s_path_goes_by_what_holds_it_and_not_by_its_name(tmp_path):
    step(Gradients(tmp_path / "gradients.csv"), own_network())
    kept = pd.read_csv(tmp_path / "gradients.csv")
    assert list(kept.columns) == ["epoch", "layer", "path", "norm"]
    for epoch in (0, 1):
        rows = kept[kept["epoch"] == epoch]
        assert dict(zip(rows["layer"], rows["path"])) == PATHS
    read = read_gradients(tmp_path / "gradients.csv")
    assert read["path"].tolist() == kept["path"].tolist()


def test_a_checkpoint_of_a_version_without_paths_goes_on_with_them(tmp_path):
    rows = [{"epoch": 0, "layer": layer, "norm": 1.0} for layer in PATHS]
    callback = Gradients(tmp_path / "gradients.csv")
    callback.load_state_dict({"rows": rows, "first": None})
    network = own_network()
    callback.on_train_start(None, SimpleNamespace(network=network))
    kept = pd.read_csv(tmp_path / "gradients.csv")
    assert dict(zip(kept["layer"], kept["path"])) == PATHS
    assert (kept["norm"] == 1.0).all()
    assert callback.state_dict()["rows"][0] == {
        "epoch": 0,
        "layer": "0.branch.0",
        "path": "main",
        "norm": 1.0,
    }


def test_an_older_file_tells_skips_by_the_name_that_our_joins_had(tmp_path):
    path = tmp_path / "gradients.csv"
    layers = ["stem.0", "stages.1.0.join.shortcut.0", "stages.1.0.branch.0", "conjoined"]
    path.write_text("epoch,layer,norm\n" + "".join(f"0,{layer},1\n" for layer in layers))
    assert read_gradients(path)["path"].tolist() == ["main", "skip", "main", "main"]


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, monkeypatch=patch)
        table = load_table("own", (*ON_DIGITS, "seed=0,1,2"))
        for cell in table.cells[:8]:
            finish(cell, epochs=3 + (cell.seed == 1))  # one of them lasts longer
        return sum_up(table, collect(table))


def test_curves_are_mean_and_range_over_the_epochs_that_all_seeds_have(findings):
    for metric, scale in (("val/accuracy", 100), ("train/loss", 1)):
        series = frames.curves(findings, metric)
        assert [(one.row.name, len(one.runs)) for one in series] == [
            ("Residual", 3),
            ("Plain", 3),
            ("Padded", 2),
        ]
        for one in series:
            assert one.frame["x"].tolist() == [1, 2, 3]
            for row in one.frame.itertuples():
                values = [scale * run.history[metric][row.x - 1] for run in one.runs]
                assert row.mean == pytest.approx(sum(values) / len(values))
                assert (row.min, row.max) == pytest.approx((min(values), max(values)))


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_gradient_lines_leave_out_skips_and_take_each_run_at_its_own_epoch(share, findings):
    for one in frames.gradient_lines(findings, share):
        assert one.frame["layer"].tolist() == ["stem.0", "stages.0.0.branch.0", "head.classifier"]
        assert one.frame["x"].tolist() == [1, 2, 3]
        for row in one.frame.itertuples():
            values = [
                norm
                for run in one.runs
                for epoch, layer, norm in run.gradients[["epoch", "layer", "norm"]].values
                if layer == row.layer and epoch == round(share * run.record.epochs)
            ]
            assert len(values) == len(one.runs)
            assert row.mean == pytest.approx(math.fsum(values) / len(values))
            assert (row.min, row.max) == pytest.approx((min(values), max(values)))


def test_the_pictures_and_the_page_draw_the_same_numbers(findings, tmp_path, monkeypatch):
    drawn = []
    for module in (figures, gradients):
        monkeypatch.setattr(module, "save_figure", lambda figure, path: drawn.append(figure))
    figures.draw_curves(findings, tmp_path / "curves")
    gradients.draw_gradients(findings, tmp_path / "gradients")
    plots = [page._curves(findings, metric, title) for metric, title in frames.PANELS]
    plots.append(page._gradients(findings))
    panels = [*drawn[0].axes, drawn[1].axes[-1]]
    for axes, plot in zip(panels, plots, strict=True):
        lines = [line for line in axes.lines if line.get_ls() != ":"]
        sources = [one.data_source.data for one in plot.renderers[::3]]
        assert len(lines) == len(sources) == 3
        for line, source in zip(lines, sources):
            assert line.get_xdata().tolist() == np.asarray(source["x"]).tolist()
            assert line.get_ydata().tolist() == np.asarray(source["mean"]).tolist()


@pytest.mark.slow
def test_a_run_whose_gradients_are_of_another_network_does_no_harm(findings, tmp_path):
    text = "epoch,layer,path,norm\n" + "".join(f"{at},other,main,nan\n" for at in range(4))
    (tmp_path / "gradients.csv").write_text(text)
    foreign = read_gradients(tmp_path / "gradients.csv")
    runs = [run for run in findings.done if run.cell.row.name == "Residual"]
    object.__setattr__(runs[0], "gradients", foreign)
    lines = frames.gradient_lines(findings, 1.0)
    assert [len(one.frame) for one in lines] == [0, 3, 3]
    assert page._gradients(findings)
    assert gradients.draw_gradients(findings, tmp_path / "lines.png").exists()
    assert gradients.draw_gradient_map(findings, tmp_path / "map.png").exists()
