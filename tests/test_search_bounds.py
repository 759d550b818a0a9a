"""What can be searched: bounds, samplers, pruners and storages, and how a search is named."""

import pytest

from reslab.config import Choices, Numbers, compose, parse_bounds
from reslab.errors import UserError
from reslab.jobs.pool import Pool
from reslab.search.plan import plan
from reslab.search.study import Study
from searching import ASKED, DROPOUT, RATES, TWO
from training import SMALL


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("a=log(1e-4,1e-1)", Numbers(1e-4, 1e-1, log=True)),
        ("a=tag(log,interval(1e-4,1e-1))", Numbers(1e-4, 1e-1, log=True)),
        ("a=uniform(0,0.5)", Numbers(0.0, 0.5)),
        ("a=interval(0,0.5)", Numbers(0.0, 0.5)),
        ("a=int(1,8)", Numbers(1, 8)),
        ("a=int(interval(1,8))", Numbers(1, 8)),
        ("a=int(log(1,64))", Numbers(1, 64, log=True)),
        ("a=range(8,65,8)", Numbers(8, 64, step=8)),
        ("a=range(3)", Numbers(0, 2, step=1)),
        ("a=range(0.1,0.5,0.1)", Numbers(0.1, 0.4, step=0.1)),
        ("a=0.0,0.2,0.5", Choices(("0.0", "0.2", "0.5"))),
        ("a=choice(x,y)", Choices(("x", "y"))),
        ("a=x,x,null", Choices(("x", "null"))),
        ("a=[8,16],[16,32]", Choices(("[8,16]", "[16,32]"))),
        ("a='x y',\"it's\"", Choices(("'x y'", '"it\'s"'))),
    ],
)
def test_bounds_are_read_as_hydra_s_sweeps_and_the_two_that_it_lacks(text, bounds):
    fixed, found = parse_bounds(["b=1", text, "~c"])
    assert (fixed, found) == (["b=1", "~c"], {"a": bounds})
    (one,) = found.values()
    assert isinstance(one, Choices) or isinstance(one.low, int) == isinstance(bounds.low, int)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a=log(1)", "missing a required argument: 'high'; write log(1e-4,1e-1)"),
        ("a=lgo(1,2)", "Unknown function 'lgo'"),
        ("a=log(1,x)", "str is incompatible"),
        ("a=log(0,1)", "numbers above 0 alone, got 0"),
        ("a=uniform(3,1)", "a number and a higher one, got 3 and 1"),
        ("a=uniform(nan,1)", "a number and a higher one, got nan and 1"),
        ("a=interval(0,inf)", "a number and a higher one, got 0 and inf"),
        ("a=int(1.5,3)", "int has whole numbers"),
        ("a=tag(fast,interval(0,1))", "there is no tag fast"),
        ("a=range(5,1)", "a range goes from a number up to"),
        ("a=range(0,1,0)", "a range goes from a number up to"),
        ("a=glob(*)", "name the options"),
        ("a=log(1,2", "that is no value"),
        ("b=2", "b is given twice"),
    ],
)
def test_wrong_bounds_are_one_line_that_begins_with_them(text, said):
    with pytest.raises(UserError) as error:
        parse_bounds(["b=1", text])
    assert str(error.value).startswith(f"{text}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("bounds", "value"),
    [
        (Numbers(1e-4, 1e-1, log=True), 0.0012345678901234567),
        (Numbers(1e-9, 1e-1, log=True), 1.2345678901234567e-07),
        (Numbers(0.0, 1.0), 1 / 3),
        (Numbers(0.0, 1e300), 1e22),
    ],
)
def test_a_number_and_its_override_are_the_same_to_the_bit(bounds, value):
    config = compose([f"optimizer.lr={bounds.text(value)}"])
    assert config.optimizer.lr == value
    assert isinstance(config.optimizer.lr, float)


def test_steps_are_written_as_people_do():
    assert Numbers(0.1, 0.4, step=0.1).text(0.1 + 2 * 0.1) == "0.3"
    assert Numbers(8, 64, step=8).text(16.0) == "16"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((), "nothing is left to be chosen"),
        ((DROPOUT, "test=true"), "test: only the best trial reads the test set"),
        ((DROPOUT, "rerun=true"), "rerun: a trial is run once"),
        (("logger=none,tensorboard",), "logger changes no result"),
        (("optimizer.lrr=log(1,2)",), "there is no option optimizer.lrr; did you mean optimizer.lr"),
        (("label_smoothing=uniform(0,2)",), "label_smoothing must be"),
        ((DROPOUT, "search.trials=0"), "search.trials must be a whole number from 1 on, got 0"),
        ((DROPOUT, "search.seed=x"), "search.seed must be a whole number from 0 on, got x"),
        ((DROPOUT, "search.name=a/b"), "search.name must be a folder's name, got a/b"),
        ((DROPOUT, "search.trails=3"), "no option search.trails; did you mean search.trials"),
        ((DROPOUT, "search/sampler=tpf"), "search/sampler=tpf: there is no such file; did you mean tpe"),
        ((DROPOUT, "search.storage=here.db"), "search.storage must be a database's address"),
        ((DROPOUT, "hydra.job.chdir=true"), "of Hydra's own a search takes hydra/launcher alone"),
        ((DROPOUT, "hydra/launcher=loca"), "hydra/launcher=loca: there is no such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_in_a_line_that_names_it(asked, said, in_empty_folder):
    with pytest.raises(UserError) as error:
        plan([*SMALL, *asked])
    assert said in str(error.value)
    assert not list(in_empty_folder.iterdir())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((RATES, "search/sampler=grid"), "search/sampler=grid: optimizer.lr has no end of values"),
        ((DROPOUT, "+search.sampler.gamme=3"), "search.sampler has no option gamme"),
        (
            (DROPOUT, "search.pruner._target_=os.system"),
            "search.pruner._target_=os.system is not allowed",
        ),
        ((DROPOUT, "search.storage=sqlite:////nowhere/at/all.db"), "search.storage: "),
    ],
)
def test_a_sampler_a_pruner_and_a_storage_are_refused_by_their_options(asked, said, tmp_path):
    with pytest.raises(UserError) as error:
        Study(plan([*SMALL, f"runs_dir={tmp_path}", *asked]), Pool([]).may_start)
    assert said in str(error.value)


@pytest.mark.long
def test_the_same_search_has_the_same_study_however_it_is_typed_and_run(in_empty_folder):
    name = plan(ASKED).name
    others = (*reversed(ASKED), "search.trials=90", "logger=none", "data_dir=there", *TWO)
    assert plan(others).name == name
    for other in (
        "search.seed=1",
        "monitor=val/loss",
        "search.sampler.multivariate=true",
        "seed=1",
    ):
        assert plan([*ASKED, other]).name != name, other
