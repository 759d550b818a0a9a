"""A run from its configuration to its record: resumed if broken, skipped if finished."""

import contextlib
import logging
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from omegaconf import DictConfig, OmegaConf

from reslab.analysis.summary import count_parameters
from reslab.callbacks import StopRequest
from reslab.callbacks.history import others_cpu_seconds
from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs import checkpoint as files
from reslab.runs import log
from reslab.runs.attempt import Attempt, begin, refuse_another_s
from reslab.runs.build import Run, build, prepare_data
from reslab.runs.description import describe
from reslab.runs.environment import (
    describe_environment,
    git_commit,
    peak_memory_bytes,
    reset_peak_memory,
)
from reslab.runs.identity import (
    code_digest,
    differing_keys,
    hashed_config,
    join_name,
    label,
    model_name,
)
from reslab.runs.record import Provenance, Record
from reslab.runs.request import check
from reslab.runs.started import Started
from reslab.runs.store import RunDirectory, find_run

# Of what `describe_environment` says, what the record keeps.
ENVIRONMENT = (*("hardware", "device", "cores", "precision", "threads", "versions", "code_digest"),)


@dataclass(frozen=True)
class Outcome:
    """What came of a command: the run's record, and whether this process trained it."""

    record: Record
    trained: bool

    @property
    def is_of_older_code(self) -> bool:
        """Whether the code that can change a result has changed since."""
        return self.record.provenance.code_digest != code_digest()


def execute(
    cfg: DictConfig, directory: RunDirectory, started: Started, reporter: Reporter = SILENT
) -> Outcome:
    """Brings the run in `directory` to its end.

    Args:
        cfg: The run's configuration.
        directory: Its directory.
        started: What the user asked for, and this process.
        reporter: Told what happens on the way.

    Raises:
        UserError: See `runs.request`, `runs.store`, `runs.checkpoint`, `runs.build` and `data`.
    """
    _quiet()
    with directory.locked(), StopRequest(reporter) as stop:
        refuse_another_s(cfg, directory)
        try:
            check(cfg)
            attempt = begin(cfg, directory)
            if attempt.record:
                directory.latest.settle()
                return Outcome(attempt.record, trained=False)
            with log.kept(directory.log_file):
                started.write(directory.request_file)
                for of_before in (directory.failure_file, directory.progress_file):
                    of_before.unlink(missing_ok=True)
                return _execute(cfg, directory, attempt, started, stop, reporter)
        except Exception as error:
            if not directory.record_file.exists():
                with contextlib.suppress(OSError, UserError):  # the disk may be what failed
                    started.write(directory.request_file)
                    directory.failure_file.write_text(f"{error}\n\n{traceback.format_exc()}")
            raise


def _execute(
    cfg: DictConfig,
    directory: RunDirectory,
    attempt: Attempt,
    started: Started,
    stop: StopRequest,
    reporter: Reporter,
) -> Outcome:
    for problem in attempt.problems:
        reporter.warn(f"{problem}; going on from {attempt.checkpoint}")
    if attempt.checkpoint:
        reporter.say(f"resuming at step {attempt.step} from {attempt.checkpoint}")
    run = build(cfg, directory, stop, reporter)
    if attempt.checkpoint is None and cfg.init_from is not None:
        _load_initial_weights(run.task.network, cfg)
    device = run.trainer.strategy.root_device
    reset_peak_memory(device)
    prepare_data(run.data)
    if attempt.starts_over:
        directory.clear()  # only now, when nothing speaks against the new run
    directory.write_config(cfg)
    environment = describe_environment(device, str(run.trainer.precision))
    data_digest = run.data.digest
    run.checkpoints.about |= {
        "environment": environment,
        "git": git_commit(),  # now: the code may be changed while this runs
        "data_digest": data_digest,
        "exact": _is_exact(cfg, attempt.about, environment, data_digest, device, reporter),
        "rerun": attempt.rerun,
        "description": describe(directory.name, cfg, run.data).as_json(),
    }
    reporter.say(f"{directory.path}")
    checkpoint = str(attempt.checkpoint) if attempt.checkpoint else None
    run.trainer.fit(run.task, datamodule=run.data, ckpt_path=checkpoint)
    return Outcome(_finish(cfg, directory, started, run, environment), trained=True)


def _is_exact(
    cfg: DictConfig,
    begun_as: dict[str, Any] | None,
    environment: dict[str, Any],
    data_digest: str,
    device: torch.device,
    reporter: Reporter,
) -> bool:
    """Whether the run is, to the bit, what one uninterrupted process would have made of it."""
    if begun_as is None:
        return True
    keys = differing_keys(environment, begun_as["environment"])
    if data_digest != begun_as["data_digest"]:
        keys.append("data_digest")
    if not keys:
        # A GPU's kernels give the same bits again only where deterministic ones are asked for.
        return begun_as["exact"] and (device.type == "cpu" or cfg.trainer.deterministic)
    text = f"the run began in another environment, which differs in {', '.join(keys)}"
    if cfg.trainer.deterministic:
        raise UserError(f"{text}: trainer=exact does not go on; resume it there, or use rerun=true")
    reporter.warn(f"{text}; it goes on, and is recorded as not exact")
    return False


def _load_initial_weights(network: torch.nn.Module, cfg: DictConfig) -> None:
    asked = str(cfg.init_from)
    source = find_run(asked, Path(cfg.runs_dir))
    if source.name != Path(asked).name:
        raise UserError(f"init_from={asked}: give the whole name, {source.name}")
    if not source.best.exists():
        raise UserError(f"init_from={asked}: {source.best} does not exist")
    theirs, ours = files.load(source.best)["state_dict"], network.state_dict()
    if {k: w.shape for k, w in ours.items()} != {k: w.shape for k, w in theirs.items()}:
        our_model, their_model = (hashed_config(c)["model"] for c in (cfg, source.config()))
        keys = differing_keys(our_model, their_model, "model.")
        raise UserError(f"init_from={asked} has another network: {', '.join(keys)} differ")
    network.load_state_dict(theirs)


def _finish(
    cfg: DictConfig,
    directory: RunDirectory,
    started: Started,
    run: Run,
    environment: dict[str, Any],
) -> Record:
    rows = run.history.rows
    best, last = rows[run.checkpoints.best_epoch - 1], rows[-1]
    labels = run.data.test_labels.numpy()
    peak = peak_memory_bytes(run.trainer.strategy.root_device)
    last_logits = _test_logits(run)  # also warms up, for the time of what follows
    best_saved = files.load(directory.best)
    run.task.network.load_state_dict(best_saved["state_dict"])
    begun, others = time.perf_counter(), others_cpu_seconds()
    logits = _test_logits(run)
    seconds = time.perf_counter() - begun
    others = others_cpu_seconds() - others
    directory.write_predictions(logits, labels, run.data.class_names)
    test, last_test = score(logits, labels), score(last_logits, labels)
    images = last["step"] * run.data.batch_size
    epoch_seconds = float(np.median([row["seconds"] for row in rows]))
    about = run.checkpoints.about
    record = Record(
        identity=about["identity"],
        recipe=started.recipe,
        overrides=started.overrides,
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
        provenance=Provenance(
            **{key: environment[key] for key in ENVIRONMENT},
            **{key: about[key] for key in ("git", "data_digest", "exact")},
        ),
        finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    if run.tensorboard:
        _write_hyperparameters(run, cfg, directory, record)
    _slim_last_checkpoint(directory)
    # For who has that file alone.
    best_saved["reslab"]["description"] = about["description"] | {"record": record.as_json()}
    files.save(best_saved, directory.best)
    directory.write_record(record)
    directory.latest.settle()
    directory.progress_file.unlink(missing_ok=True)
    return record


def _test_logits(run: Run) -> np.ndarray:
    batches = run.trainer.predict(run.task, datamodule=run.data)
    assert batches is not None
    return torch.cat([batch for batch in batches if isinstance(batch, torch.Tensor)]).half().numpy()


def score(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy (a fraction) and mean cross-entropy of logits `[N, K]` against labels `[N]`."""
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    return {"accuracy": float((logits.argmax(1) == labels).mean()), "loss": float(loss)}


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


def _slim_last_checkpoint(directory: RunDirectory) -> None:
    """A finished run is not resumed: optimizer state and best weights are not needed in it."""
    checkpoint = files.load(directory.latest.last)
    checkpoint["optimizer_states"] = []
    checkpoint["callbacks"].pop("SaveCheckpoints")  # with the best weights
    files.save(checkpoint, directory.latest.slim)


def _quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
