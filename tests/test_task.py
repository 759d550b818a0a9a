"""The training step."""

import numpy as np
import pytest
import torch
from lightning.pytorch.plugins import Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from sklearn.utils.class_weight import compute_class_weight

from processes import run
from reslab.callbacks import StopRequest
from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.runs import checkpoint as files
from reslab.runs.build import build, build_task, prepare_data
from reslab.runs.store import RunDirectory
from reslab.task import ImageClassifier, count_right
from reslab.terminal.reporter import Terminal
from training import SMALL, only_run


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_to_the_given_norm(tmp_path, precision):
    """With plain SGD, one step moves the weights by lr x the clipped norm."""
    arguments = ("model=baseline_cnn", "optimizer=sgd_cosine", "optimizer.optimizer.momentum=0")
    once = ("optimizer.weight_decay=0", "optimizer.lr=1", "trainer.max_epochs=1", "logger=none")
    short = ("+trainer.limit_train_batches=1", "trainer=exact", "+trainer.gradient_clip_val=0.01")
    numbers = f"trainer.precision={precision}"
    finished = run(tmp_path, "train", *arguments, *once, *short, numbers)
    assert finished.code == 0, finished.err
    directory = only_run(tmp_path)
    after = files.load(directory / "checkpoints/best.ckpt")["state_dict"]
    network = build_task(RunDirectory(directory).config()).network
    moved = sum((after[name] - p.detach()).square().sum() for name, p in network.named_parameters())
    assert moved.sqrt().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("algorithm", [None, "norm", "value"])
@pytest.mark.parametrize("value", [None, 0, 0.0, 0.01, 1e9])
def test_clipping_is_lightning_s_own_of_automatic_optimization(value, algorithm):
    options = {"gradient_clip_val": value, "gradient_clip_algorithm": algorithm}
    network = torch.nn.Linear(5, 3)
    gradients = {name: torch.randn_like(p) for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1)
    clipped = []
    for clip in (
        ImageClassifier(network, instantiate(compose([]), "optimizer"), **options).limit_gradients,
        lambda: Precision().clip_gradients(
            optimizer, value or 0, GradClipAlgorithmType(algorithm or "norm")
        ),
    ):
        for name, p in network.named_parameters():
            p.grad = gradients[name].clone()
        clip()
        clipped.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert torch.equal(*clipped)


def test_a_configuration_says_how_to_clip():
    asked = ["+trainer.gradient_clip_val=0.01", "+trainer.gradient_clip_algorithm=value"]
    task = build_task(compose(["model=baseline_cnn", *asked]))
    for p in task.network.parameters():
        p.grad = torch.randn_like(p)
    task.limit_gradients()
    largest = torch.stack([p.grad.abs().max() for p in task.network.parameters()])
    assert largest.tolist() == pytest.approx([0.01] * len(largest))


def test_label_smoothing_is_torch_s_and_trains_only():
    logits, labels = torch.randn(8, 10), torch.randint(10, (8,))
    one_hot = torch.nn.functional.one_hot(labels, 10) * 0.9 + 0.1 / 10
    expected = -(one_hot * logits.log_softmax(1)).sum(1).mean()
    cfg = compose(["label_smoothing=0.1", "model=baseline_cnn"])
    task = ImageClassifier(torch.nn.Identity(), instantiate(cfg, "optimizer"), 0.1)
    assert torch.allclose(task.training_loss(logits, labels), expected)
    task.validation_step((logits, labels), 0)
    plain = -logits.log_softmax(1)[torch.arange(8), labels].mean()
    assert task.val_metrics.compute()["loss"].item() == pytest.approx(plain.item())


def test_mixed_labels_have_their_cross_entropy_and_their_largest_share_is_the_answer():
    logits = torch.randn(8, 10)
    shares = torch.zeros(8, 10)
    shares[torch.arange(8), torch.arange(8)], shares[:, 9] = 0.7, 0.3
    smoothed = shares * 0.9 + 0.1 / 10
    expected = -(smoothed * logits.log_softmax(1)).sum(1).mean()
    task = ImageClassifier(torch.nn.Identity(), instantiate(compose([]), "optimizer"), 0.1)
    assert torch.allclose(task.training_loss(logits, shares), expected)
    task.train_metrics.update(expected, count_right(logits, shares), len(shares))
    right = (logits.argmax(1) == torch.arange(8)).float().mean()
    assert task.train_metrics.compute()["accuracy"] == right
    assert task.train_metrics.compute()["loss"].item() == pytest.approx(expected.item())


def test_balanced_weights_are_scikit_learn_s_and_weigh_training_alone():
    """Of labels, smoothed or not, and of shares; validation counts every image alike."""
    counts = [50, 5, 20]
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    optimization = instantiate(compose([]), "optimizer")
    task = ImageClassifier(torch.nn.Identity(), optimization, 0.1, class_weights="balanced")
    task.weigh_classes(labels, 3, torch.device("cpu"))
    weights = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert task.class_weight.tolist() == pytest.approx(weights.tolist())
    assert task.class_weight[labels].mean().item() == pytest.approx(1)
    batch, logits, weights = labels[::7], torch.randn(11, 3), torch.tensor(weights).float()
    smoothed = torch.nn.functional.one_hot(batch, 3) * 0.9 + 0.1 / 3
    each = -(weights * smoothed * logits.log_softmax(1)).sum(1)
    expected = each.sum() / weights[batch].sum()
    assert task.training_loss(logits, batch).item() == pytest.approx(expected.item())
    shares = torch.rand(11, 3).softmax(1)
    each = -(weights * (shares * 0.9 + 0.1 / 3) * logits.log_softmax(1)).sum(1)
    assert task.training_loss(logits, shares).item() == pytest.approx(each.mean().item())
    task.validation_step((logits, batch), 0)
    plain = -logits.log_softmax(1)[torch.arange(11), batch].mean()
    assert task.val_metrics.compute()["loss"].item() == pytest.approx(plain.item())


@pytest.mark.slow
def test_a_run_weighs_classes_by_its_training_images(tmp_path):
    """Compiled too: with weights, `test_speedups` compares compiled steps with such as these."""
    asked = ["class_weights=balanced", "max_steps=2"]
    cfg = compose([*SMALL, "logger=none", "trainer=cpu", *asked])
    directory = RunDirectory(tmp_path)
    directory.checkpoints.mkdir()
    with StopRequest() as stop:
        run = build(cfg, directory, stop)
        prepare_data(run.data)
        run.trainer.fit(run.task, datamodule=run.data)
    labels = run.data.train_labels.numpy()
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    assert run.task.class_weight.tolist() == pytest.approx(expected.tolist())
    images, labels = next(iter(run.data.train_dataloader()))
    loss, logits = run.task.loss_and_logits(images, labels)
    weight = torch.tensor(expected).float()
    by_torch = torch.nn.CrossEntropyLoss(weight)(logits, labels)
    assert loss.item() == pytest.approx(by_torch.item(), rel=1e-4)
    assert not any("weight" in key for key in run.task.state_dict() if "network" not in key)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_a_compiler_what_is_asked_for_is_refused_and_the_default_is_eager(
    device, monkeypatch, capsys, tmp_path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    where, cfg = torch.device(device), compose(["dataset=digits"])
    with pytest.raises(
        UserError, match=r"trainer.compile=true: torch.compile finds no (gcc|g\+\+)"
    ):
        build_task(compose(["trainer.compile=true"])).compile_for(where)
    monkeypatch.setenv("CC" if device == "cuda" else "CXX", "nowhere/compiler --fast")
    with pytest.raises(UserError, match=r"finds no nowhere/compiler \("):
        build_task(compose(["trainer.compile=true"])).compile_for(where)
    monkeypatch.delenv("CC" if device == "cuda" else "CXX")
    task = build_task(cfg).eval()
    task.reporter = Terminal()
    task.compile_for(where)
    assert ("warning: torch.compile finds no gcc" in capsys.readouterr().err) == (device == "cuda")
    images = torch.randn(4, cfg.dataset.channels, cfg.dataset.size, cfg.dataset.size)
    labels = torch.arange(4)
    loss, logits = task.loss_and_logits(images, labels)
    assert torch.equal(logits, task(images))
    assert loss.item() == pytest.approx(task.training_loss(logits, labels).item())


def test_without_python_s_header_what_is_asked_for_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(UserError, match=r"finds no Python\.h"):
        build_task(compose(["trainer.compile=true"])).compile_for(torch.device("cpu"))
