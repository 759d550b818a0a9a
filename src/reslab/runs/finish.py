"""What a run comes to, once it is trained: test predictions, the record."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from reslab.analysis.summary import count_parameters
from reslab.lightning_bypass import is_of_an_epoch_s_end
from reslab.machine import others_cpu_seconds
from reslab.runs import checkpoint as files
from reslab.runs.build import Run
from reslab.runs.environment import peak_memory_bytes
from reslab.runs.identity import join_name, label, model_name
from reslab.runs.record import NOT_REPEATED, Choice, Extension, Provenance, Record
from reslab.runs.request import Request
from reslab.runs.score import score
from reslab.runs.store import RunDirectory

# Of what `describe_environment` says, what the record keeps.
ENVIRONMENT = (
    *("hardware", "device", "cores", "precision", "threads", "versions", "code_digest"),
    *("cpu_capability", "world_size", "batch_norm"),
)


def finish(
    cfg: DictConfig,
    directory: RunDirectory,
    request: Request,
    run: Run,
    environment: dict[str, Any],
) -> Record:
    """Reads the test set with the last and the best weights and writes the record.

    From then on the run is finished, and of its last checkpoint the weights alone are kept; all of
    it where `keep_state` asks for that.
    """
    rows = run.history.rows
    best, last = rows[run.checkpoints.best_epoch - 1], rows[-1]
    labels = run.data.test_labels.numpy()
    peak = peak_memory_bytes(run.trainer.strategy.root_device)
    last_logits = _test_logits(run)  # also warms up, for the time of what follows
    best_saved = files.load(directory.best)
    run.task.evaluated.load_state_dict(best_saved["state_dict"])
    begun, others = time.perf_counter(), others_cpu_seconds()
    logits = _test_logits(run)
    seconds = time.perf_counter() - begun
    others = others_cpu_seconds() - others
    directory.write_predictions(logits, labels, run.data.class_names)
    test, last_test = score(logits, labels), score(last_logits, labels)
    choices = {}
    for name, choice in run.checkpoints.choices().items():
        accuracy = test["accuracy"]
        if choice["epoch"] != run.checkpoints.best_epoch:
            run.task.evaluated.load_state_dict(choice["weights"])
            accuracy = score(_test_logits(run), labels)["accuracy"]
        choices[name] = Choice(choice["epoch"], accuracy)
    images = last["step"] * run.data.batch_size
    epoch_seconds = float(np.median([row["seconds"] for row in rows]))
    about = run.checkpoints.about
    record = Record(
        identity=about["identity"],
        recipe=request.recipe,
        overrides=request.overrides,
        rerun=about["rerun"],
        seed=cfg.seed,
        dataset=cfg.dataset.name,
        model=model_name(cfg),
        join=join_name(cfg),
        parameters=count_parameters(run.task.network),
        macs=run.macs,
        epochs=len(rows),
        best_epoch=run.checkpoints.best_epoch,
        val_accuracy=best["val/accuracy"],
        val_loss=best["val/loss"],
        test_accuracy=test["accuracy"],
        test_loss=test["loss"],
        last_test_accuracy=last_test["accuracy"],
        choices=choices,
        train_accuracy=last["train/accuracy"],
        train_loss=last["train/loss"],
        seconds=run.history.seconds,
        epoch_seconds=epoch_seconds,
        images_per_second=images / sum(row["train_seconds"] for row in rows),
        peak_memory_bytes=peak,
        checkpoint_bytes=directory.best.stat().st_size,
        inference_images_per_second=len(labels) / seconds,
        others_cpu=sum(row["others_cpu_seconds"] for row in rows) / run.history.seconds,
        inference_others_cpu=others / seconds,
        extends=_extension(about),
        provenance=Provenance(
            **{key: environment[key] for key in ENVIRONMENT if key in environment},
            **{key: about[key] for key in ("git", "data_digest", "exact")},
        ),
        finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    if run.tensorboard:
        _write_hyperparameters(run, cfg, directory, record)
    _slim_last_checkpoint(directory, keep=cfg.keep_state)
    # For who has that file alone.
    best_saved["reslab"]["description"] = about["description"] | {"record": record.as_json()}
    files.save(best_saved, directory.best)
    directory.write_record(record)
    directory.settle()
    return record


def _extension(about: dict[str, Any]) -> Extension | None:
    """What the run went on with; since then it may have been resumed in another environment."""
    if about["extends"] is None:
        return None
    extension = Extension(**about["extends"])
    if extension.exact and not about["exact"]:
        extension = replace(extension, exact=False, reason=NOT_REPEATED)
    return extension


def _test_logits(run: Run) -> np.ndarray:
    batches = run.trainer.predict(run.task, datamodule=run.data)
    assert batches is not None
    return torch.cat([batch for batch in batches if isinstance(batch, torch.Tensor)]).half().numpy()


def _write_hyperparameters(
    run: Run, cfg: DictConfig, directory: RunDirectory, record: Record
) -> None:
    assert run.tensorboard is not None
    keys = ("optimizer.lr", "optimizer.weight_decay", "dataset.batch_size", "label_smoothing")
    values = {"run": label(cfg)} | {
        key: OmegaConf.select(cfg, key) for key in (*keys, "trainer.max_epochs", "seed")
    }
    names = ("test/accuracy", "test/loss", "last/test/accuracy", "seconds")
    run.tensorboard.write_hyperparameters(values, {name: record.as_json()[name] for name in names})


def _slim_last_checkpoint(directory: RunDirectory, keep: bool) -> None:
    """A finished run is not resumed: optimizer state and best weights are not needed in it.

    To `keep` them makes a file of its own of it, if it is of an epoch's end: inside an epoch, it is
    behind a validation that a longer run has not.
    """
    checkpoint = files.load(directory.latest.last)
    if keep and is_of_an_epoch_s_end(checkpoint):
        files.duplicate(directory.latest.last, directory.state_kept)
    checkpoint["optimizer_states"] = []
    checkpoint["callbacks"].pop("SaveCheckpoints")  # with the best weights
    files.save(checkpoint, directory.latest.slim)
