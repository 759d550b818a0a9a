"""What is infinite or not a number ends a run before the update, in a line; what was saved stays."""

import math
import re

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from fitting import Spoil, fit
from processes import run
from reslab.config import compose
from reslab.finite import FiniteGuard, NotFiniteError
from reslab.reporter import Reporter
from reslab.runs import checkpoint as files
from reslab.runs.best import best_of
from reslab.runs.failures import explained
from reslab.runs.store import RunDirectory
from training import EVERY_STEP, EXACT, SMALL, STEPS_PER_EPOCH, assert_same_results, only_run


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("where", [0, 3, 4])
def test_one_number_among_all_gradients_is_found_and_the_others_stay_as_they_are(
    bad, layout, where
):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2), nn.Linear(5, 1))
    network.to(memory_format=layout)
    guard = FiniteGuard(torch.optim.SGD(network.parameters()), torch.device("cpu"), 40, 19)
    gradients = [torch.randn_like(p) * 1e30 for p in network.parameters()][:-1]  # one has none
    for parameter, gradient in zip(network.parameters(), gradients):
        parameter.grad = gradient.clone()
    guard.check(torch.tensor(2.5))
    assert all(map(torch.equal, (p.grad for p in network.parameters()), gradients))
    spoiled = list(network.parameters())[where].grad
    spoiled[(-1,) * spoiled.ndim] = bad
    said = "a gradient is not finite, at a loss of 0.5, in step 42 (epoch 3, batch 4 of 19)"
    with pytest.raises(NotFiniteError, match=re.escape(said)):
        guard.check(torch.tensor(0.5))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_is_named_by_its_value(bad):
    network = nn.Linear(1, 1)
    guard = FiniteGuard(torch.optim.SGD(network.parameters()), torch.device("cpu"), 0, 3)
    with pytest.raises(NotFiniteError, match=rf"the loss is {bad} in step 1 \(epoch 1, batch 1"):
        guard.check(torch.tensor(bad))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_the_weights_are_those_before_the_step(what, optimizer, tmp_path):
    asked = [*SMALL, "trainer=exact", "logger=none", f"optimizer={optimizer}"]
    runs = []
    with pytest.raises(NotFiniteError, match="in step 7 "):
        fit(tmp_path / "spoiled", asked, [Spoil(what, step=7)], runs=runs)
    fit(tmp_path / "six", [*asked, "max_steps=6"], runs=runs)
    weights, expected = (list(one.task.network.parameters()) for one in runs)
    assert all(map(torch.equal, weights, expected))


class SpoilValidation(Callback):
    def __init__(self, epochs, loss=math.nan):
        self.epochs, self.loss = epochs, loss

    def on_validation_batch_end(self, trainer, pl_module, *arguments):
        if trainer.current_epoch in self.epochs:
            pl_module.val_metrics.loss_sum.fill_(self.loss)


ASKED = [*SMALL, "trainer=cpu", "logger=none"]
LOSS = [*ASKED, "monitor=val/loss"]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
@pytest.mark.parametrize("monitor", ["val/loss", "val/accuracy"])
def test_a_validation_loss_that_is_not_finite_is_not_the_best_s_and_training_goes_on(
    loss, monitor, tmp_path
):
    """Nor is its epoch by its accuracy: where no answer is a number, that is of the first class."""
    asked = [*ASKED, f"monitor={monitor}", "patience=2", "trainer.max_epochs=3"]
    done = fit(tmp_path / "run", asked, [SpoilValidation([0], loss)])
    assert done.checkpoints.best_epoch > 1
    assert [choice["epoch"] > 1 for choice in done.checkpoints.choices().values()] == [True] * 2
    assert not math.isfinite(done.history.rows[0]["val/loss"])


@pytest.mark.parametrize(("patience", "epochs"), [(1, 1), (3, 2)])
def test_without_one_validation_loss_that_is_a_number_there_is_no_best_epoch(
    patience, epochs, tmp_path
):
    runs = []
    with pytest.raises(NotFiniteError, match="val/loss was not finite after any epoch"):
        fit(tmp_path / "run", [*LOSS, f"patience={patience}"], [SpoilValidation([0, 1])], runs=runs)
    assert len(runs[0].history.rows) == epochs
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize("monitor", ["val/accuracy", "train/loss"])
def test_a_network_without_a_finite_answer_has_no_best_epoch_by_whatever_metric(monitor, tmp_path):
    """By a rate at which BatchNorm's statistics overflow, while losses and gradients do not."""
    asked = ["dataset=digits", "dataset.size=16", "dataset.batch_size=64", "model=resnet20"]
    asked += ["optimizer=sgd_cosine", "optimizer.lr=1e6", "trainer=cpu", "logger=none"]
    asked += ["+trainer.limit_train_batches=3", "trainer.max_epochs=1", f"monitor={monitor}"]
    with pytest.raises(NotFiniteError, match="val/loss was not finite after any epoch"):
        fit(tmp_path / "run", asked)
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([math.nan, 0.5, 0.4], {"val/loss": 3, "val/accuracy": 2}),
        ([0.5, math.nan, math.nan], {"val/loss": 1, "val/accuracy": 1}),
        ([math.nan, math.nan], {"val/loss": 0, "val/accuracy": 0}),
        ([math.inf, 0.5], {"val/loss": 2, "val/accuracy": 1}),
    ],
)
def test_no_number_is_never_the_best(values, best):
    assert {monitor: best_of(values, monitor) for monitor in best} == best


@pytest.mark.parametrize(
    ("last", "previous", "said"),
    [
        (1.0, 1.0, "the last checkpoint before it, {last}, is of step 7"),
        (
            math.inf,
            1.0,
            "the last checkpoint before it with finite numbers alone, {previous}, is of",
        ),
        (math.inf, math.nan, "no checkpoint with finite numbers alone was saved before it"),
        (math.nan, None, "no checkpoint with finite numbers alone was saved before it"),
        (None, None, "no checkpoint was saved before it"),
    ],
)
@pytest.mark.parametrize("where", ["statistics", "optimizer"])
def test_the_checkpoint_that_is_named_is_finite_throughout(where, last, previous, said, tmp_path):
    """As BatchNorm's statistics need not be, of which the loss in training is no function."""
    latest = RunDirectory(tmp_path).latest
    latest.last.parent.mkdir()
    for path, value in {latest.previous: previous, latest.last: last}.items():
        if value is not None:
            own = {"statistics": 1.0, "optimizer": 1.0} | {where: value}
            state = {"running_var": torch.tensor([1.0, own["statistics"]]), "n": torch.tensor(3)}
            moments = {"state": {0: {"exp_avg_sq": torch.tensor([own["optimizer"]])}}}
            content = {"global_step": 7, "state_dict": state, "optimizer_states": [moments]}
            files.save(content, path)
    cfg, error = compose(["dataset=digits"]), NotFiniteError("the loss is nan in step 9")
    where_it_is = torch.device("cpu")
    line = explained(error, cfg, RunDirectory(tmp_path), (1, 8, 8), where_it_is, Reporter())
    names = {"last": latest.last, "previous": latest.previous}
    assert f"the loss is nan in step 9; {said.format(**names)}" in str(line)


@pytest.mark.slow
def test_a_run_that_fails_says_what_is_kept_and_goes_on_from_there(tmp_path):
    step = STEPS_PER_EPOCH + 6
    spoiled, whole = tmp_path / "spoiled", tmp_path / "whole"
    line = run(spoiled, *EXACT, EVERY_STEP, kill=("infinite", step)).error_line()
    folder = only_run(spoiled)
    where = rf"in step {step} \(epoch 2, batch 6 of {STEPS_PER_EPOCH}\)"
    kept = re.escape(f"{folder.relative_to(spoiled)}/checkpoints/last.ckpt, is of step {step - 1}")
    assert re.search(rf"a gradient is not finite, at a loss of [\d.]+, {where}", line)
    assert re.search(kept, line)
    assert "an optimizer.lr below 0.01, +trainer.gradient_clip_val=1" in line
    assert "trainer.precision" not in line, "exact is fp32 already"
    assert line.removeprefix("reslab: ") in (folder / "failure.txt").read_text()
    assert len(pd.read_csv(folder / "metrics.csv")) == 1, "the curve so far"
    state = files.load(folder / "checkpoints/last.ckpt")["state_dict"]
    assert all(bool(value.isfinite().all()) for value in state.values())
    assert run(spoiled, *EXACT, EVERY_STEP).code == 0
    assert run(whole, *EXACT).code == 0
    assert_same_results(folder, only_run(whole))


@pytest.mark.slow
def test_a_sweep_goes_on_when_one_of_its_runs_diverges(tmp_path):
    sweep = ("train", "-m", *SMALL, "logger=none", "trainer=cpu", "optimizer=sgd")
    ended = run(tmp_path, *sweep, "trainer.max_epochs=1", "optimizer.lr=1e6,0.01")
    assert ended.code == 1
    assert re.search(
        r"(the loss is (nan|inf)|a gradient is not finite).* in step \d+ \(", ended.err
    )
    assert "no checkpoint was saved before it" in ended.err
    assert "Traceback" not in ended.err
    assert len(list(tmp_path.glob("outputs/runs/*/metrics.json"))) == 1


@pytest.mark.slow
def test_a_batch_that_does_not_fit_into_memory_is_named_with_one_that_does(tmp_path):
    asked = ("train", *SMALL, "logger=none", "trainer=cpu", "trainer.max_epochs=1")
    line = run(tmp_path, *asked, "dataset.batch_size=1257", kill=("memory", 200)).error_line()
    assert line == (
        "reslab: dataset.batch_size=1257: out of memory on cpu; dataset.batch_size=157 fits"
    )
    assert "out of memory" in (only_run(tmp_path) / "failure.txt").read_text()
    done = run(tmp_path, *asked, "dataset.batch_size=157", kill=("memory", 200))
    assert done.code == 0, done.err


@pytest.mark.slow
def test_a_sweep_goes_on_when_there_is_no_memory_for_one_of_its_runs(tmp_path):
    asked = ("train", "-m", *SMALL, "logger=none", "trainer=cpu", "trainer.max_epochs=1")
    ended = run(tmp_path, *asked, "dataset.batch_size=1257,64", kill=("memory", 200))
    assert ended.code == 1
    assert "dataset.batch_size=1257: out of memory on cpu; dataset.batch_size=157 fits" in ended.err
    assert "Traceback" not in ended.err
    (record,) = tmp_path.glob("outputs/runs/*/metrics.json")
    assert "batch_size: 64" in record.with_name("config.yaml").read_text()


@pytest.mark.slow
def test_where_nothing_fits_it_is_not_said_what_does(tmp_path):
    asked = ("train", *SMALL, "logger=none", "trainer=cpu")
    line = run(tmp_path, *asked, kill=("memory", 0)).error_line()
    assert line.endswith("out of memory on cpu; no smaller one was found that fits")
