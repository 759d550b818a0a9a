"""What a finished run leaves behind."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from sklearn.metrics import accuracy_score, log_loss
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import reslab
from processes import run
from reslab.callbacks import StopRequest
from reslab.config import compose, instantiate
from reslab.errors import UserError
from reslab.machine import supports_bf16
from reslab.runs import checkpoint as files
from reslab.runs.build import build
from reslab.runs.execute import execute
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory, find_run, list_runs
from training import SMALL, only_run

KEYS = [
    "identity",
    "recipe",
    "overrides",
    "seed",
    "parameters",
    "macs",
    "epochs",
    "best_epoch",
    "val/accuracy",
    "val/loss",
    "test/accuracy",
    "test/loss",
    "last/test/accuracy",
    "train/accuracy",
    "train/loss",
    "seconds",
    "epoch_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "checkpoint_bytes",
    "inference_images_per_second",
    "hardware",
    "precision",
    "threads",
    "versions",
    "git",
    "code_digest",
    "data_digest",
    "exact",
    "device",
    "cores",
    "cpu_capability",
    "world_size",
    "batch_norm",
    "finished",
    "others_cpu",
    "inference_others_cpu",
    "dataset",
    "model",
    "join",
    "rerun",
    "extends",
    "choices",
]

ARGUMENTS = (
    "train",
    "model=mini_resnet",
    "model.widths=[8,16,32,64]",
    "optimizer=sgd_cosine",
    "trainer=exact",
    "trainer.max_epochs=3",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was killed once on its way."""
    folder = tmp_path_factory.mktemp("execute")
    arguments = (*ARGUMENTS, "augment=crop_flip", "checkpoint_every=0")
    assert run(folder, *arguments, kill=("step", 25)).killed
    finished = run(folder, *arguments)
    assert finished.code == 0, finished.err
    return folder, finished


@pytest.fixture(scope="module")
def folder(finished):
    return finished[0]


@pytest.fixture(scope="module")
def directory(folder):
    return only_run(folder)


@pytest.fixture(scope="module")
def record(directory):
    return json.loads((directory / "metrics.json").read_text())


def predictions(directory):
    stored = np.load(directory / "predictions.npz")
    return stored["logits"], stored["labels"]


def test_the_record_has_every_field(record):
    assert list(record) == KEYS
    unknown = {key for key, value in record.items() if value is None}
    assert unknown - {"git"} == {"recipe", "extends", "batch_norm"}


def test_scikit_learn_gets_the_recorded_accuracy_and_loss_from_the_logits(directory, record):
    logits, labels = predictions(directory)
    assert logits.dtype == np.float16
    assert logits.shape == (360, 10)
    assert accuracy_score(labels, logits.argmax(1)) == record["test/accuracy"]
    exponentials = np.exp(logits.astype(float) - logits.max(1, keepdims=True).astype(float))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    assert log_loss(labels, probabilities) == pytest.approx(record["test/loss"], rel=1e-9)


def test_labels_are_the_test_set_s_in_its_own_order(directory):
    data = instantiate(compose(["dataset=digits"]), "dataset")
    data.setup()
    assert np.array_equal(predictions(directory)[1], data.test_labels.numpy())


def test_the_loaded_run_gives_the_recorded_logits(folder, directory, record):
    """By its directory, its name, a part of its name; up to the rounding of storing them in fp16."""
    data = instantiate(compose(["dataset=digits"]), "dataset")
    data.setup()
    logits, _ = predictions(directory)
    for name in (directory, directory.name, "mini_resnet"):
        classifier = reslab.load(name, folder / "outputs/runs")
        assert classifier.record.as_json() == record
        assert classifier.class_names == tuple("0123456789")
        ours = classifier(data.test_images)
        assert np.allclose(ours.numpy(), logits, rtol=2e-3, atol=1e-3)
    eight = torch.nn.functional.interpolate(data.test_images[:4].float(), size=8).byte()
    assert classifier(eight).shape == (4, 10)


def test_an_unknown_or_ambiguous_name_is_refused(folder):
    runs = folder / "outputs/runs"
    with pytest.raises(UserError, match="no run is called"):
        find_run("nothing", runs)
    other = runs / "digits-mini_resnet-s1-00000000"
    other.mkdir()
    assert len(list_runs(runs)) == 1, "a folder without config.yaml is not a run"
    (other / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(UserError, match="say more"):
        find_run("mini_resnet", runs)
    (other / "config.yaml").unlink()
    other.rmdir()


def test_best_is_the_epoch_with_the_best_validation_accuracy(directory, record):
    rows = pd.read_csv(directory / "metrics.csv").set_index("epoch")
    assert record["best_epoch"] == rows["val/accuracy"].idxmax()
    assert record["val/accuracy"] == rows["val/accuracy"].max()
    best = files.load(directory / "checkpoints/best.ckpt")
    assert best["reslab"]["epoch"] == record["best_epoch"]
    assert "optimizer_states" not in best
    assert files.load(directory / "checkpoints/last.ckpt")["optimizer_states"] == []
    assert not (directory / "checkpoints/previous.ckpt").exists()


def test_last_accuracy_is_that_of_the_last_weights(directory, record):
    data = instantiate(compose(["dataset=digits"]), "dataset")
    data.setup()
    classifier = reslab.load(directory)
    weights = files.load(directory / "checkpoints/last.ckpt")["state_dict"]
    prefix = "network."
    classifier.network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    )
    right = (classifier(data.test_images).argmax(1) == data.test_labels).float().mean().item()
    assert right == pytest.approx(record["last/test/accuracy"], abs=1 / 360)


def test_the_rates_in_the_history_are_the_cosine_s(directory):
    rates = pd.read_csv(directory / "metrics.csv")["lr"]
    expected = 0.1 * (1 + np.cos(np.pi * np.arange(3) / 3)) / 2
    assert np.allclose(rates, expected, atol=1e-12)


def test_times_and_counts_add_up(directory, record):
    rows = pd.read_csv(directory / "metrics.csv")
    assert record["seconds"] == pytest.approx(rows["seconds"].sum())
    assert (rows["train_seconds"] <= rows["seconds"]).all()
    images = 19 * 64 * len(rows)
    assert record["images_per_second"] == pytest.approx(images / rows["train_seconds"].sum())
    assert record["epochs"] == len(rows) == 3
    assert list(rows["step"]) == [19, 38, 57]


@pytest.fixture(scope="module")
def events(directory):
    accumulator = EventAccumulator(str(directory), size_guidance={"scalars": 0, "images": 0})
    return accumulator.Reload()


def test_tensorboard_has_each_scalar_once_an_epoch_also_after_a_resume(events, directory):
    rows = pd.read_csv(directory / "metrics.csv")
    for name in ("lr", "train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == list(rows["step"])
        assert np.allclose([scalar.value for scalar in scalars], rows[name], rtol=1e-6)


@pytest.mark.slow
def test_tensorboard_after_a_restart_without_a_checkpoint_has_nothing_twice(tmp_path):
    quick = ("train", *SMALL, "trainer.max_epochs=3", "+trainer.limit_train_batches=4")
    assert run(tmp_path, *quick, kill=("step", 6)).killed
    assert not (only_run(tmp_path) / "checkpoints/last.ckpt").exists()
    assert run(tmp_path, *quick).code == 0
    again = EventAccumulator(str(only_run(tmp_path)), size_guidance={"scalars": 0}).Reload()
    assert [scalar.step for scalar in again.Scalars("val/loss")] == [4, 8, 12]


def test_tensorboard_has_no_second_version(directory):
    assert [p.name for p in directory.iterdir() if p.is_dir()] == ["checkpoints"]
    assert list(directory.glob("events.out.tfevents.*"))


def test_tensorboard_has_augmented_images_and_the_graph(events):
    import io

    from PIL import Image

    (image,) = events.Images("augmented training images")
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)))
    assert pixels.shape == (8 * 18 + 2, 8 * 18 + 2, 3)
    assert pixels.std() > 30
    assert len(events.Graph().node) > 20


def test_tensorboard_s_hparams_have_the_real_final_metrics(events, record):
    assert events.Scalars("test/accuracy")[0].value == pytest.approx(record["test/accuracy"])
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["run"].string_value == "digits-mini_resnet"
    assert values["optimizer.lr"].number_value == 0.1


def test_the_progress_bar_has_epoch_time_left_rate_loss_and_validation_accuracy(finished):
    bar = finished[1].err.replace("\r", "\n").splitlines()[-1]
    pattern = r"epoch 3/3 \|.*100% \[\d+:\d\d<00:00, [\d.]+k?img/s, loss=\d\.\d+, val acc=[\d.]+%\]"
    assert re.search(pattern, bar), bar


@pytest.mark.parametrize(("trainer", "deterministic"), [("auto", False), ("exact", True)])
def test_trainers_are_what_they_say(trainer, deterministic, tmp_path):
    cfg = compose([f"trainer={trainer}", "model=mini_resnet", "trainer.accelerator=cpu"])
    built = build(cfg, RunDirectory(tmp_path), StopRequest())
    bf16 = trainer == "auto" and supports_bf16(torch.device("cpu"))
    assert built.trainer.precision == ("bf16-mixed" if bf16 else "32-true")
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    built.data.setup()
    images, _ = next(iter(built.data.train_dataloader()))
    assert images.is_contiguous(memory_format=torch.channels_last)
    weights = [p for p in built.task.network.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    torch.use_deterministic_algorithms(False)


def test_bf16_is_what_the_processor_s_flags_say():
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        pytest.skip("no /proc/cpuinfo")
    words = flags.read_text().split()
    native = "avx512_bf16" in words or "amx_bf16" in words
    assert supports_bf16(torch.device("cpu")) == native


def test_what_lightning_refuses_while_it_trains_is_one_line(tmp_path, monkeypatch):
    def refuse(*arguments, **keywords):
        raise MisconfigurationException("limit_train_batches is too small.\nMore of it.")

    monkeypatch.setattr(Trainer, "fit", refuse)
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(UserError, match=r"^trainer: limit_train_batches is too small\.$"):
        execute(compose([*SMALL, "logger=none"]), directory, Request.here(SMALL, None))
    assert directory.state() == "failed"


def test_commands_list_and_describe(folder):
    listed = run(folder, "runs")
    assert "finished" in listed.out
    assert only_run(folder).name in listed.out
    described = run(folder, "data", "digits")
    assert "1,257 training, 180 validation, 360 test" in described.out
