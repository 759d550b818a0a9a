"""What holds of overrides, identities and tables' cells, whatever they are."""

import csv
import io
import json

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import assume, example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from reslab.config import compose, parse_bounds, parse_overrides, single_runs
from reslab.reports.cells import safe
from reslab.runs.identity import WITHOUT_EFFECT, canonical, identity, select
from reslab.runs.pins import as_typed
from searched import TEXTS, examples, told

POSITIVE = st.floats(1e-8, 1e8)
SHARE = st.floats(0.001, 0.9)
COUNT = st.integers(1, 10_000)
# Fields that compute, each with values that it may have.
COMPUTING = {
    "seed": st.integers(0, 2**32 - 1),
    "label_smoothing": SHARE,
    "patience": COUNT,
    "max_steps": COUNT,
    "class_weights": st.just("balanced"),
    "ema": st.floats(0.5, 0.999),
    "lookahead": COUNT,
    "monitor": st.sampled_from(["val/loss", "train/loss", "train/accuracy"]),
    "optimizer.lr": POSITIVE,
    "optimizer.weight_decay": SHARE,
    "dataset.batch_size": COUNT,
    "dataset.val_size": COUNT,
    "dataset.split_seed": COUNT,
    "dataset.small_size": COUNT,
    "dataset.small_epochs": COUNT,
    "model.dropout": SHARE,
    "model.widths": st.lists(COUNT, min_size=4, max_size=4),
    "trainer.max_epochs": COUNT,
    "+trainer.gradient_clip_val": POSITIVE,
}
# Fields that say where things lie, what is shown and whether to go on.
HOSTING = {
    "data_dir": st.sampled_from(["/elsewhere", "a b", "data2"]),
    "runs_dir": st.sampled_from(["/elsewhere", "runs2"]),
    "checkpoint_every": st.integers(0, 1000),
    "resume": st.just("must"),
    "rerun": st.integers(1, 9),
    "keep_state": st.just("true"),
    "test": st.just("false"),
    "trainer.enable_progress_bar": st.just("false"),
    "trainer.quiet": st.just("true"),
    "trainer.accelerator": st.sampled_from(["gpu", "cuda", "mps"]),
}
BASE = ("model=resnet18", "augment=flip")


def chosen(fields, most=4):
    """Overrides of some fields, each with a value."""
    keys = st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=most)
    return keys.flatmap(lambda keys: st.tuples(*(st.tuples(st.just(k), fields[k]) for k in keys)))


def typed(pairs):
    return [f"{key}={as_typed(value)}" for key, value in pairs]


def test_the_fields_are_those_that_there_are():
    """So that one that is renamed does not leave these properties without a word."""
    plain = OmegaConf.to_container(compose(BASE), resolve=False)
    assert set(HOSTING) <= {*WITHOUT_EFFECT, "trainer.accelerator"}
    assert all(key[0] == "+" or key.rpartition(".")[2] in nested(plain, key) for key in COMPUTING)


def nested(plain, key):
    return select(plain, key.rpartition(".")[0]) if "." in key else plain


@pytest.mark.slow
@examples(6)
@given(chosen(COMPUTING), chosen(HOSTING), st.randoms(use_true_random=False))
def test_the_order_of_overrides_and_where_a_run_lies_never_matter(computing, hosting, order):
    overrides = [*BASE, *typed(computing)]
    others = [*overrides, *typed(hosting)]
    order.shuffle(others)
    assert identity(compose(others)) == identity(compose(overrides))


@pytest.mark.parametrize("key", sorted(COMPUTING))
@examples(1)
@given(st.data(), chosen(COMPUTING, 2))
def test_another_value_of_a_field_that_computes_is_another_run(key, data, beside):
    beside = [*BASE, *typed(pair for pair in beside if pair[0] != key)]
    value = data.draw(COMPUTING[key])
    plain = compose(beside)
    assume(OmegaConf.select(plain, key.lstrip("+")) != value)
    ours = compose([*beside, *typed([(key, value)])])
    assert identity(ours) != identity(plain)
    given = OmegaConf.select(ours, key.lstrip("+"))
    assert (OmegaConf.to_object(given) if OmegaConf.is_config(given) else given) == value


KEYS = st.text("abc_", min_size=1, max_size=3)
CONFIGS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@examples(100)
@given(CONFIGS, st.randoms(use_true_random=False))
def test_what_is_hashed_depends_on_values_and_not_on_how_they_are_written(config, order):
    """Oracle: JSON, whose numbers are all of one kind, and whose objects have no order."""

    def rewritten(value):
        if isinstance(value, dict):
            items = [*value.items(), *([("later", None)] if order.random() < 0.5 else [])]
            order.shuffle(items)
            return {key: rewritten(one) for key, one in items}
        if isinstance(value, list):
            return tuple(map(rewritten, value))
        if type(value) is float and value.is_integer() and abs(value) < 2**53:
            return int(value)
        return value

    one, other = (json.dumps(canonical(c), sort_keys=True) for c in (config, rewritten(config)))
    assert one == other


@examples(100)
@given(st.lists(st.lists(st.text(max_size=12) | TEXTS, min_size=1, max_size=4), min_size=1))
@example([["=1+1", "+1", "-1", "@a", "\ta", "\ra", "'a", 'a,b\n"c"']])
def test_cells_come_back_and_none_is_a_formula(rows):
    rows = [[cell.encode(errors="replace").decode() for cell in row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([safe(cell) for cell in row] for row in rows)
    found = list(csv.reader(io.StringIO(text.getvalue(), newline="")))
    assert not [cell for row in found for cell in row if cell[:1] in tuple("=+-@\t\r")]
    assert [[cell[1:] if cell[:1] == "'" else cell for cell in row] for row in found] == rows


WORDS = st.text(
    st.sampled_from("abc_019.,=+~-[]{}()'\"\\$:/@ \t\n%*|<>é\u2028"), max_size=16
) | st.text(max_size=12)
OVERRIDES = WORDS | st.builds("{}={}".format, st.sampled_from(["seed", "a.b", "+x", "~y"]), WORDS)


@examples(100)
@given(OVERRIDES)
@example("a=range(1,3,0)")
@example("a=range(0,1000000000)")
@example("seed=1e999")
@example("a=" + "[" * 300)
@example("a=int(9e999)")
def test_an_override_is_read_as_hydra_reads_it_or_refused_in_a_line(text):
    try:
        one = OverridesParser.create().parse_override(text)
    except HydraException:
        one = None
    found = told(parse_overrides, [text])
    if one is None:
        assert isinstance(found, str)
    elif not isinstance(found, str):
        ((key, _, values),) = found
        assert key == one.key_or_group
        assert one.is_sweep_override() or repr(values) == repr([one.value()])
    told(single_runs, [text], 20)
    told(parse_bounds, [text])


@examples(12)
@given(OVERRIDES)
def test_a_configuration_is_composed_or_refused_in_a_line(text):
    told(compose, [text])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@examples(100)
@given(VALUES)
def test_a_value_that_is_typed_comes_back(value):
    """Oracle: Hydra's parser, and OmegaConf for what it makes of a text that is no number there."""
    assume("\ud800" not in repr(value) and "\\ud800" not in repr(value))
    assume("${" not in str(value))
    parsed = OverridesParser.create().parse_override(f"a={as_typed(value)}").value()
    plain = OmegaConf.to_container(OmegaConf.create({"a": plain_of(parsed)}))["a"]
    assert repr(plain) == repr(value)


def plain_of(value):
    if isinstance(value, list):
        return [plain_of(one) for one in value]
    return getattr(value, "text", value)


@pytest.mark.parametrize("key", sorted(HOSTING))
def test_each_field_that_hosts_is_no_part_of_a_run(key):
    values = {"data_dir": "x", "runs_dir": "x", "trainer.accelerator": "gpu", "resume": "must"}
    override = f"{key}={values.get(key, 'true')}"
    assert identity(compose([*BASE, override])) == identity(compose(BASE))
