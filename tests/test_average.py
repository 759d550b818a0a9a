"""What follows the weights, against loops that spell it out, and what a run makes of it."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lightning.pytorch import Callback
from torch import nn

import reslab
from fitting import fit
from processes import run
from reslab.average import Following, follower_of
from reslab.runs.load import load_latest
from reslab.runs.store import RunDirectory
from training import EVERY_STEP, SMALL, assert_same_results, only_run

PLAIN = (
    *(*SMALL, "optimizer=sgd", "optimizer.optimizer.momentum=0", "optimizer.weight_decay=0"),
    *("trainer=exact", "logger=none", "augment=crop_flip", "augment.crop.padding=2"),
    "optimizer.lr=0.05",
)


class Watch(Callback):
    """Keeps what the network is before the first step and after each."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, *arguments):
        if not self.seen:
            self.seen.append(values(pl_module.network))

    def on_train_batch_end(self, trainer, pl_module, *arguments):
        self.seen.append(values(pl_module.network))


def values(network):
    return {name: value.double() for name, value in network.state_dict().items()}


def assert_close(network, expected, tolerance=1e-5):
    found = values(network)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=tolerance, atol=tolerance), name


def test_the_average_is_the_sum_of_all_weights_by_their_shares(tmp_path):
    """In closed form and double precision, BatchNorm's statistics included."""
    watch = Watch()
    done = fit(tmp_path / "run", [*PLAIN, "ema=0.55", "max_steps=12"], [watch])
    decays = [2 / 11, 3 / 12, 4 / 13, 5 / 14, 6 / 15, 7 / 16, 8 / 17, 9 / 18, 10 / 19, 11 / 20]
    decays += [0.55, 0.55]
    assert len(watch.seen) == 13
    shares = [torch.tensor(decays).double().prod()]
    for at, decay in enumerate(decays):
        shares.append((1 - decay) * torch.tensor(decays[at + 1 :]).double().prod())
    assert sum(shares) == pytest.approx(1)
    expected = {
        name: sum(share * one[name] for share, one in zip(shares, watch.seen, strict=True))
        for name in watch.seen[0]
        if "num_batches" not in name
    }
    counts = {name: value for name, value in watch.seen[-1].items() if "num_batches" in name}
    assert {value.item() for value in counts.values()} == {12}
    assert_close(done.task.averaged, expected | counts)


def test_lookahead_is_the_paper_s_two_loops(tmp_path):
    """Of a loop of one's own over the same batches: fast steps, and slow ones of every third."""
    done = fit(tmp_path / "run", [*PLAIN, "lookahead=3", "max_steps=8"])
    untrained = fit(tmp_path / "one", [*PLAIN, "lookahead=3", "max_steps=1", "optimizer.lr=1e-30"])
    network = untrained.task.network.train()
    begin_statistics(network)
    slow = {name: value.clone() for name, value in network.state_dict().items()}
    loader = done.data.train_dataloader()
    loader.sampler.set_epoch(0)
    for step, (images, labels) in enumerate(loader, 1):
        network.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        with torch.no_grad():
            for weight in network.parameters():
                weight -= 0.05 * weight.grad
            if step % 3 == 0:
                for name, fast in network.state_dict().items():
                    if fast.is_floating_point():
                        slow[name] += (fast - slow[name]) / 2
                        fast.copy_(slow[name])
        if step == 8:
            break
    assert_close(done.task.network, values(network))
    for name, value in slow.items():
        if value.is_floating_point():
            assert torch.allclose(done.task.slow.state_dict()[name], value, atol=1e-5), name


def begin_statistics(network):
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()


@pytest.mark.parametrize(
    ("asked", "name"), [("ema=0.9", "averaged"), ("lookahead=4", "slow"), ("seed=0", "network")]
)
def test_what_is_validated_and_kept_is_the_copy(asked, name, tmp_path):
    """By predictions of one's own on the validation images."""
    done = fit(tmp_path / "run", [*PLAIN, asked, "max_steps=10"])
    network = getattr(done.task, name).eval()
    with torch.no_grad():
        logits = torch.cat([network(images) for images, _ in done.data.val_dataloader()])
    right = (logits.argmax(1) == done.data.val_labels).double().mean().item()
    loss = F.cross_entropy(logits, done.data.val_labels).item()
    (row,) = done.history.rows
    assert row["val/accuracy"] == pytest.approx(right, abs=1e-6)
    assert row["val/loss"] == pytest.approx(loss, rel=1e-4)
    kept = done.checkpoints.choices()["val/accuracy"]["weights"]
    assert all(torch.equal(kept[key], value) for key, value in network.state_dict().items())
    others = [p for key, p in done.task.named_parameters() if key.startswith("network.")]
    same = [torch.equal(p, kept[n]) for (n, _), p in zip(network.named_parameters(), others)]
    assert all(same) == (name == "network")


def test_weights_of_any_layout_and_counts_follow():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(
        memory_format=torch.channels_last
    )
    copy = follower_of(network)
    assert not any(p.requires_grad for p in copy.parameters())
    network(torch.randn(4, 3, 8, 8))
    with torch.no_grad():
        network[0].weight.add_(1)
    before = copy[0].weight.clone()
    following = Following(copy, network)
    following.draw_near(0.25)
    assert torch.allclose(copy[0].weight, before + 0.25)
    assert copy[1].num_batches_tracked == 1
    following.draw_near(1)
    assert all(
        torch.equal(*pair)
        for pair in zip(copy.state_dict().values(), network.state_dict().values())
    )


@pytest.mark.long
def test_a_run_with_both_goes_on_to_the_same_bits_and_is_loaded_as_it_was_tested(tmp_path):
    """Killed among small images, between Lookahead's steps, and behind an epoch's validation."""
    arguments = ("train", *PLAIN, "optimizer.optimizer.momentum=0.9", "ema=0.95", "lookahead=4")
    arguments += ("model=resnet20", "model.widths=[8,16,32]", "trainer.max_epochs=2")
    arguments += ("dataset.small_size=6", "dataset.small_epochs=1", "keep_state=true")
    arguments = tuple(one for one in arguments if one not in SMALL)
    assert run(tmp_path / "whole", *arguments).code == 0
    broken = (*arguments, EVERY_STEP)
    for moment in (("step", 6), ("epoch", 1), ("step", 3)):
        assert run(tmp_path / "broken", *broken, kill=moment).killed
    finished = run(tmp_path / "broken", *broken)
    assert finished.code == 0, finished.err
    directory = only_run(tmp_path / "broken")
    assert_same_results(directory, only_run(tmp_path / "whole"))
    record = RunDirectory(directory).record()
    _, latest = load_latest(RunDirectory(directory))
    classifier = reslab.load(directory)
    data_of = fit(tmp_path / "data", [*PLAIN, "max_steps=1"]).data
    for network, accuracy in (
        (classifier.network, record.test_accuracy),
        (latest, record.last_test_accuracy),
    ):
        with torch.no_grad():
            logits = torch.cat([network(images) for images, _ in data_of.predict_dataloader()])
        right = (logits.argmax(1) == data_of.test_labels).double().mean().item()
        assert right == pytest.approx(accuracy, abs=1 / 360 + 1e-9)
