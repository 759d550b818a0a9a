import math

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from reslab.config import compose, instantiate
from reslab.errors import UserError


def build(*overrides, monitor="val/loss"):
    cfg = compose(overrides)
    return instantiate(cfg, "optimizer").build(nn.Linear(3, 2), monitor)


def rates(optimizer, schedule, metrics):
    """The rate in each epoch, stepping after it with its metric."""
    seen = []
    for metric in metrics:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if metric is None else schedule.step(metric)
    return seen


def test_cosine_is_its_closed_form():
    optimizer, schedule = build("optimizer=sgd_cosine", "trainer.max_epochs=50")
    expected = [0.1 * (1 + math.cos(math.pi * t / 50)) / 2 for t in range(50)]
    assert rates(optimizer, schedule, [None] * 50) == pytest.approx(expected, abs=1e-12)


def test_steps_divide_by_ten_after_half_and_three_quarters():
    optimizer, schedule = build("optimizer=sgd_step", "trainer.max_epochs=40")
    expected = [0.1] * 20 + [0.01] * 10 + [0.001] * 10
    assert rates(optimizer, schedule, [None] * 40) == pytest.approx(expected)


def test_one_cycle_is_two_lines_and_has_its_height_after_a_quarter():
    optimizer, schedule = build("optimizer=sgd_one_cycle", "optimizer.lr=0.4", "max_steps=40")
    up = [0.4 / 25 + (0.4 - 0.4 / 25) * step / 9 for step in range(10)]
    down = [0.4 - (0.4 - 0.4 / 25 / 1e4) * step / 30 for step in range(1, 31)]
    assert rates(optimizer, schedule, [None] * 40) == pytest.approx(up + down)


def test_bhise_and_karale_s_schedule_is_its_closed_form():
    """Five epochs of linear warm-up to the rate, then a line to a tenth in the eightieth."""
    optimizer, schedule = build("optimizer=adam_warmup_linear", "trainer.max_epochs=80")
    warm_up = [1e-3 * (0.2 + 0.8 * epoch / 5) for epoch in range(5)]
    decay = [1e-3 * (1 - 0.9 * epoch / 74) for epoch in range(75)]
    seen = rates(optimizer, schedule, [None] * 80)
    assert seen == pytest.approx(warm_up + decay)
    assert seen[-1] == pytest.approx(1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [20, 110])
def test_he_et_al_s_schedule_is_the_paper_s_over_64_000_steps(depth):
    cfg = compose([f"recipe=he2016/resnet{depth}"])
    assert (cfg.max_steps, cfg.optimizer.interval, cfg.optimizer.weight_decay) == (
        64_000,
        "step",
        1e-4,
    )
    optimizer, schedule = instantiate(cfg, "optimizer").build(nn.Linear(3, 2), "val/accuracy")
    seen = rates(optimizer, schedule, [None] * 64_000)
    warm_up = 400 if depth == 110 else 0
    expected = [0.01] * warm_up + [0.1] * (32_000 - warm_up) + [0.01] * 16_000 + [0.001] * 16_000
    assert seen == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", ["sgd_he2016", "sgd_he2016_warmup", "sgd_one_cycle"])
def test_a_schedule_by_steps_needs_their_number(optimizer):
    with pytest.raises(UserError, match="max_steps"):
        build(f"optimizer={optimizer}")


def assert_recurrence(optimizer_name, update):
    """Three steps on random gradients; update gives (weight, state) from (weight, state, gradient)."""
    optimizer, _ = build(f"optimizer={optimizer_name}")
    (weight, bias) = optimizer.param_groups[0]["params"]
    expected, state = weight.detach().clone(), torch.zeros_like(weight)
    for _ in range(3):
        gradient = torch.randn_like(weight)
        weight.grad, bias.grad = gradient.clone(), torch.zeros_like(bias)
        optimizer.step()
        expected, state = update(expected, state, gradient)
    assert torch.allclose(weight, expected, atol=1e-6)


def test_rmsprop_is_its_recurrence():
    def update(weight, mean_square, gradient):
        mean_square = 0.99 * mean_square + 0.01 * gradient**2
        return weight - 1e-3 * gradient / (mean_square.sqrt() + 1e-8), mean_square

    assert_recurrence("rmsprop", update)


def test_weight_decay_spares_biases_and_normalization_if_asked():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    for overrides, spared in [([], []), (["+optimizer.decay_all=false"], [0.0] * 4)]:
        cfg = compose(["optimizer=sgd_cosine", *overrides])
        optimizer, _ = instantiate(cfg, "optimizer").build(network, "val/loss")
        decay = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
        assert len(decay) == 6
        assert [decay[id(p)] for p in network.parameters() if p.ndim > 1] == [5e-4] * 2
        flat = [decay[id(p)] for p in network.parameters() if p.ndim == 1]
        assert flat == (spared or [5e-4] * 4)


def keras_plateau(losses, lr=1e-3, factor=0.2, patience=3, min_delta=1e-4):
    """Keras' ReduceLROnPlateau, by its documentation."""
    best, wait, seen = math.inf, 0, []
    for loss in losses:
        seen.append(lr)
        if loss < best - min_delta:
            best, wait = loss, 0
        else:
            wait += 1
            if wait >= patience:
                lr, wait = lr * factor, 0
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_plateau_is_keras(seed):
    noise = torch.rand(30, generator=torch.Generator().manual_seed(seed)) * 0.3
    losses = (torch.linspace(1, 0.5, 30) + noise).tolist()
    optimizer, schedule = build("optimizer=adam_plateau")
    expected = keras_plateau(losses)
    assert rates(optimizer, schedule, losses) == pytest.approx(expected)
    assert expected[-1] < expected[0]


def test_plateau_counts_an_improvement_of_less_than_1e_4_as_none():
    losses = [1 - 5e-5 * epoch for epoch in range(8)]
    optimizer, schedule = build("optimizer=adam_plateau")
    assert rates(optimizer, schedule, losses) == pytest.approx(keras_plateau(losses))


def test_plateau_takes_a_rising_accuracy_as_an_improvement():
    rising, falling = [0.1 * epoch for epoch in range(8)], [0.9 - 0.1 * epoch for epoch in range(8)]
    for monitor, better, worse in [
        ("val/accuracy", rising, falling),
        ("val/loss", falling, rising),
    ]:
        assert rates(*build("optimizer=adam_plateau", monitor=monitor), better) == [1e-3] * 8
        assert rates(*build("optimizer=adam_plateau", monitor=monitor), worse)[-1] < 1e-3


def test_adam_s_first_step_is_lr_along_the_sign():
    network = nn.Linear(3, 2)
    cfg = compose(["optimizer=adam", "optimizer.lr=0.01"])
    optimizer, schedule = instantiate(cfg, "optimizer").build(network, "val/loss")
    before = network.weight.detach().clone()
    network(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    step = network.weight.detach() - before
    assert torch.allclose(step, -0.01 * network.weight.grad.sign(), atol=1e-6)
    assert schedule is None


def test_sgd_with_momentum_and_weight_decay_is_its_recurrence():
    def update(weight, velocity, gradient):
        velocity = 0.9 * velocity + gradient + 5e-4 * weight
        return weight - 0.1 * velocity, velocity

    assert_recurrence("sgd_cosine", update)


@pytest.mark.parametrize(
    ("override", "named"),
    [("optimizer.lr=-1", "lr"), ("optimizer.lr=0", "lr"), ("optimizer.weight_decay=-1", "decay")],
)
def test_rates_out_of_range_are_refused_by_name(override, named):
    with pytest.raises(UserError, match=named):
        build(override)


def test_every_optimizer_file_has_the_keys_that_recipes_set():
    from reslab.config import CONF_DIR

    for path in (CONF_DIR / "optimizer").glob("*.yaml"):
        cfg = compose([f"optimizer={path.stem}"]).optimizer
        assert {"lr", "weight_decay", "optimizer", "schedule"} <= set(OmegaConf.to_container(cfg))
