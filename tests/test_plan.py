"""A table's file, and the cells that come of it: no network is built to count them."""

import itertools
from collections import Counter

import pytest
from omegaconf import OmegaConf

from reslab import nn
from reslab.config import compose, instantiate, list_options
from reslab.errors import UserError
from reslab.tables import plan, publication
from reslab.tables.collect import collect
from reslab.tables.estimate import time_left
from reslab.tables.plan import load_table
from reslab.tables.publication import read_publication
from reslab.tables.render import render


@pytest.fixture
def built(monkeypatch):
    """Counts of what is composed, by its overrides, and of networks, by their class."""
    counts, compose = Counter(), plan.compose

    def counted(overrides):
        counts[tuple(overrides)] += 1
        return compose(overrides)

    monkeypatch.setattr(plan, "compose", counted)
    for kind in (nn.ResNet, nn.PlainCNN):

        def build(self, *arguments, kind=kind, original=kind.__init__, **keywords):
            counts[kind] += 1
            original(self, *arguments, **keywords)

        monkeypatch.setattr(kind, "__init__", build)
    return counts


def test_counting_looking_up_and_rendering_compose_once_and_build_nothing(built, in_empty_folder):
    table = load_table("liu_goh", ["dataset=digits", "seed=0,1,2"])
    results = collect(table)
    assert len(results) == 12
    assert {result.state for result in results} == {"missing"}
    assert time_left(results) == ""
    assert render(table, results, in_empty_folder / "tables")
    recipes = {cell.row.recipe for cell in table.cells}
    once = {(f"recipe={recipe}", *more) for recipe in recipes for more in ((), ("dataset=digits",))}
    assert built == dict.fromkeys(once, 1)


def test_rows_of_one_recipe_and_a_table_as_it_is_share_one_composition(
    built, tmp_path, monkeypatch
):
    own_file(tmp_path, monkeypatch, rows=[ROW, ROW | {"name": "again"}])
    assert len(load_table("own", ["seed=0,1"]).cells) == 4
    assert built == {("recipe=virakden",): 1}


def test_the_work_of_a_recipe_is_worked_out_once_for_all_its_seeds(built):
    cells = load_table("virakden").cells
    work = [cell.workload.macs for cell in cells]
    assert built[nn.ResNet] == 1
    # He et al.'s ResNet-18 for 32x32 images of one channel, by its equations, times ten epochs.
    widths = (64, 64, 128, 256, 512)
    stages = [
        ((32 >> stage) ** 2 * out * 9 * ((into if stage else out) + 3 * out))
        + ((32 >> stage) ** 2 * into * out if stage else 0)
        for stage, (into, out) in enumerate(itertools.pairwise(widths))
    ]
    assert work == [10 * (32**2 * 9 * 64 + sum(stages) + 512 * 10)] * 3


ROW = {"name": "x", "recipe": "virakden"}


def own_file(folder, monkeypatch, **changes):
    """A table's file with some of its content changed; None leaves a key out."""
    content = {"title": "t", "seeds": [0], "rows": [ROW]} | changes
    path = folder / "own.yaml"
    path.write_text(OmegaConf.to_yaml({k: v for k, v in content.items() if v is not None}))
    monkeypatch.setattr(publication, "find_option", lambda group, name: path)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"title": 5}, "title: 5 must be text"),
        ({"title": None}, "lacks title"),
        ({"hardware": 5}, "hardware: 5 must be text"),
        ({"seeds": 3}, "seeds must be a list, got 3"),
        ({"rows": 3}, "rows must be a list"),
        ({"rows": {"name": "x"}}, "rows must be a list"),
        ({"rows": []}, "there must be rows"),
        ({"rows": ["x"]}, "a row must be a mapping, got x"),
        ({"rows": [{"name": "x"}]}, "row x lacks recipe"),
        ({"rows": [ROW | {"recipe": 5}]}, "recipe must be a recipe's name, got 5"),
        ({"rows": [ROW | {"published": 98}]}, "published must be a mapping"),
        ({"rows": [ROW | {"published": {"accuracy": "98"}}]}, "98 must be a number"),
        ({"rows": [ROW | {"published": {"acuracy": 98}}]}, "did you mean accuracy"),
        ({"rows": [ROW | {"name": "ResNet-18"}, ROW | {"name": "ResNet 18"}]}, "too much like it"),
        ({"rows": [ROW, ROW | {"name": 18}]}, "18: a row's name must have letters"),
        ({"rows": [ROW, ROW | {"name": "$x$"}]}, r"\$x\$: a row.*no \$"),
        ({"rows": [ROW, ROW | {"name": "_x"}]}, "no _ in front"),
        ({"rows": [ROW, ROW | {"name": "Ж"}]}, "letters or digits"),
        ({"pairs": [["x", "y"]]}, "there is no row y"),
        ({"pairs": ["x"]}, "must be a pair"),
        ({"columns": "loss"}, "columns must be a list"),
        ({"columns": ["los"]}, "did you mean loss"),
        ({"notes": "All is well."}, "notes must be a list"),
        ({"notes": [5]}, "notes: 5 must be text"),
        ({"quick": [5]}, "quick: 5 must be text"),
        ({"quik": ["seed=0"]}, "did you mean quick"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_meant_is_refused_by_name(changes, named, tmp_path, monkeypatch):
    own_file(tmp_path, monkeypatch, **changes)
    with pytest.raises(UserError, match=named) as refused:
        read_publication("own")
    assert str(tmp_path / "own.yaml") in str(refused.value)


def test_a_table_without_a_quick_scale_says_so(tmp_path, monkeypatch):
    own_file(tmp_path, monkeypatch)
    with pytest.raises(UserError, match="the table own has no quick scale"):
        load_table("own", quick=True)


def test_an_augmentation_by_override_is_a_change_and_a_seed_counts_once():
    table = load_table("liu_goh", ["augment=none", "seed=0,0", "data_dir=x"])
    assert table.changes == ("augment=none",)
    assert [cell.seed for cell in table.cells] == [0] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    "table",
    [  # those of deep networks and of many rows take longest
        pytest.param(
            one, marks=[pytest.mark.long] * (one in ("he2016", "liu_goh_readings", "speed"))
        )
        for one in list_options("table")
    ],
)
def test_every_table_has_a_quick_scale(table):
    spec = load_table(table, quick=True)
    assert spec.quick
    assert spec.changes
    assert len(spec.cells) == len(spec.publication.rows)
    for cell in spec.cells:  # with those changes its row can still be meant
        instantiate(compose(cell.overrides), "dataset")
