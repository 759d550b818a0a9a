"""What a configuration is refused for before anything is built."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from processes import run
from reslab.config import compose, top_level_keys
from reslab.errors import UserError
from reslab.runs.check import check
from reslab.runs.extension import settled
from reslab.runs.identity import run_name
from training import SMALL


def refused(cfg) -> str:
    with pytest.raises(UserError) as error:
        check(cfg)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("++foo.bar=1", "foo: no part of a run reads it"),
        ("++foo=null", "foo: no part of a run reads it"),
        ("++foo=[1,2]", "foo: no part of a run reads it"),
        ("++seeds=1", "seeds: no part of a run reads it; did you mean seed?"),
        ("+optimiser.lr=1", "optimiser: no part of a run reads it; did you mean optimizer?"),
        ("++Seed=1", "Seed: no part of a run reads it; did you mean seed?"),
        ("++lr=0.1", "lr: no part of a run reads it"),
        ("++logger.foo=1", "logger must be one of its options, got {'foo': 1}"),
        ("++dataset.augment.x=1", "dataset.augment must be one of its options, got {'x': 1}"),
    ],
)
def test_what_nobody_reads_is_refused_by_its_name(override, line):
    assert refused(compose(["logger=none", override])).startswith(line)


@pytest.mark.parametrize(
    "value", ["${width}", "${oc.select:width,1}", "${share:0.5,${width}}", "x-${width.a}"]
)
def test_what_another_value_is_made_of_is_read(value):
    """As a recipe of the user's own may name a number once and use it twice."""
    cfg = compose(["++width=1"])
    assert refused(cfg).startswith("width: no part of a run reads it")
    OmegaConf.update(cfg, "model.widths", ["${widths}"])
    assert refused(cfg).startswith("width: no part of a run reads it")
    OmegaConf.update(cfg, "model.widths", [value])
    check(cfg)


def test_all_that_a_run_has_is_read():
    assert set(compose([])) == set(top_level_keys())
    check(compose([]))


NAMES = {
    "slash": "a/b",
    "up": "..",
    "out": "../../x",
    "root": "/tmp/x",
    "empty": "",
    "hidden": ".x",
    "option": "-x",
    "space": " x",
    "newline": "a\nb",
    "control": "a\x07b",
    "null": "a\0b",
    "surrogate": "a\ud800b",
    "long": "x" * 81,
    "long in bytes": "é" * 41,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("key", ["dataset.name", "model.name"])
def test_a_name_that_no_directory_can_have_is_refused(key, name, tmp_path):
    """And that the directory has, in which it is said, is one below the runs' all the same."""
    cfg = compose(["model=baseline_cnn"])
    OmegaConf.update(cfg, key, name)
    line = refused(cfg)
    assert line.startswith(f"{key} is part of a directory's name")
    assert line.isprintable()
    directory = tmp_path / run_name(settled(cfg))
    directory.mkdir()
    assert list(tmp_path.iterdir()) == [directory]


@pytest.mark.parametrize("value", [5, True, 1.5, [1], {"a": 1}])
@pytest.mark.parametrize("key", ["dataset.name", "model.name"])
def test_a_name_is_text(key, value):
    cfg = compose([])
    OmegaConf.update(cfg, key, value)
    assert refused(cfg).startswith(f"{key} must be text, got ")
    assert run_name(cfg)


@pytest.mark.parametrize("name", ["a", "a b", "données", "x" * 80, "a.b", "a-b", "日本", "v1.0~x"])
def test_other_names_are_a_directory_s(name):
    cfg = compose([])
    OmegaConf.update(cfg, "dataset.name", name)
    check(cfg)
    assert run_name(cfg).startswith(f"{name}-resnet18-s0-")


def test_a_command_writes_nowhere_but_below_its_runs(tmp_path):
    line = run(tmp_path / "a/b", "train", *SMALL, "model.name=../../../x").error_line()
    assert "model.name is part of a directory's name" in line
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert {path.parent for path in tmp_path.rglob("request.json")} == {
        next(Path(tmp_path / "a/b/outputs/runs").iterdir())
    }
