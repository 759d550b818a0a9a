"""A run from its configuration to its record: resumed if broken, skipped if finished."""

import logging
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from omegaconf import DictConfig, OmegaConf

from reslab.callbacks import StopRequest
from reslab.errors import UserError
from reslab.nn.summary import count_parameters
from reslab.runs import checkpoint as files
from reslab.runs.build import Run, build, check
from reslab.runs.environment import describe_environment, git_commit, peak_memory_bytes
from reslab.runs.identity import code_digest, differing_keys, hashed_config, identity
from reslab.runs.store import RunDirectory, find_run


def execute(cfg: DictConfig, directory: RunDirectory, overrides: list[str]) -> dict[str, Any]:
    """Brings the run in `directory` to its end and returns its record.

    Args:
        cfg: The run's configuration.
        directory: Its directory.
        overrides: What the user asked for, for the record.

    Raises:
        UserError: See `runs.store`, `runs.checkpoint`, `runs.build`, and `data`.
    """
    check(cfg)
    _quiet()
    with directory.locked(), StopRequest() as stop:
        if cfg.rerun:
            directory.clear()
        if record := directory.record():
            _report_finished(directory, record)
            return record
        directory.failure_file.unlink(missing_ok=True)
        try:
            return _execute(cfg, directory, overrides, stop)
        except Exception as error:
            directory.failure_file.write_text(f"{error}\n\n{traceback.format_exc()}")
            raise


def _execute(
    cfg: DictConfig, directory: RunDirectory, overrides: list[str], stop: StopRequest
) -> dict[str, Any]:
    checkpoint_path, begun_as = _find_checkpoint(cfg, directory)
    run = build(cfg, directory, stop)
    run.data.prepare_data()
    try:
        run.data.setup()
    except ValueError as error:
        raise UserError(f"dataset: {error}") from error
    directory.write_config(cfg)
    device = run.trainer.strategy.root_device
    environment = describe_environment(device, str(run.trainer.precision))
    run.checkpoints.about |= {
        "environment": environment,
        "data_digest": run.data.digest,
        "exact": _is_exact(cfg, begun_as, environment, run.data.digest),
        "class_names": list(run.data.class_names),
        "mean": run.data.normalization.mean.flatten().tolist(),
        "std": run.data.normalization.std.flatten().tolist(),
    }
    if checkpoint_path is None and cfg.init_from is not None:
        _load_initial_weights(run, cfg)
    print(f"{directory.path}", file=sys.stderr)
    run.trainer.fit(run.task, datamodule=run.data, ckpt_path=checkpoint_path)
    return _finish(cfg, directory, overrides, run, environment)


def _find_checkpoint(
    cfg: DictConfig, directory: RunDirectory
) -> tuple[str | None, dict[str, Any] | None]:
    """Path of the checkpoint to go on from and what it says of its run, if there is one."""
    found = directory.latest.load()
    if found is None:
        if cfg.resume == "must":
            raise UserError(f"resume=must, but {directory.path} has no checkpoint to resume from")
        return None, None
    path, checkpoint, problems = found
    for problem in problems:
        print(f"warning: {problem}; going on from {path}", file=sys.stderr)
    about = checkpoint["reslab"]
    if about["identity"] != identity(cfg):
        keys = differing_keys(hashed_config(cfg), about["config"])
        raise UserError(
            f"{path} belongs to another run ({about['identity']}), which differs in "
            f"{', '.join(keys)}; move it away, or start over with rerun=true"
        )
    print(f"resuming at step {checkpoint['global_step']} from {path}", file=sys.stderr)
    return str(path), about


def _is_exact(
    cfg: DictConfig,
    begun_as: dict[str, Any] | None,
    environment: dict[str, Any],
    data_digest: str,
) -> bool:
    """Whether the run is, to the bit, what one uninterrupted process would have made of it."""
    if begun_as is None:
        return True
    keys = differing_keys(environment, begun_as["environment"])
    if data_digest != begun_as["data_digest"]:
        keys.append("data_digest")
    if not keys:
        return begun_as["exact"]
    text = f"the run began in another environment, which differs in {', '.join(keys)}"
    if cfg.trainer.deterministic:
        raise UserError(f"{text}: trainer=exact does not go on; resume it there, or use rerun=true")
    print(f"warning: {text}; it goes on, and is recorded as not exact", file=sys.stderr)
    return False


def _load_initial_weights(run: Run, cfg: DictConfig) -> None:
    source = find_run(cfg.init_from, Path(cfg.runs_dir))
    if not source.best.exists():
        raise UserError(f"init_from={cfg.init_from}: {source.best} does not exist")
    theirs = OmegaConf.to_container(source.config().model)
    ours = OmegaConf.to_container(cfg.model, resolve=True)
    if keys := differing_keys(ours, theirs, "model."):
        raise UserError(f"init_from={cfg.init_from} has another network: {', '.join(keys)} differ")
    run.task.network.load_state_dict(files.load(source.best)["state_dict"])


def _finish(
    cfg: DictConfig,
    directory: RunDirectory,
    overrides: list[str],
    run: Run,
    environment: dict[str, Any],
) -> dict[str, Any]:
    rows = run.history.rows
    best, last = rows[run.checkpoints.best_epoch - 1], rows[-1]
    labels = run.data.test_labels.numpy()
    peak = peak_memory_bytes(run.trainer.strategy.root_device)
    last_logits = _test_logits(run)
    run.task.network.load_state_dict(files.load(directory.best)["state_dict"])
    logits = last_logits if best is last else _test_logits(run)
    directory.write_predictions(logits, labels)
    test, last_test = score(logits, labels), score(last_logits, labels)
    images = len(run.data.train_images) // run.data.batch_size * run.data.batch_size
    epoch_seconds = float(np.median([row["seconds"] for row in rows]))
    record = {
        "identity": identity(cfg),
        "recipe": next((o.partition("=")[2] for o in overrides if o.startswith("recipe=")), None),
        "overrides": overrides,
        "seed": cfg.seed,
        "parameters": count_parameters(run.task.network),
        "macs": run.macs,
        "epochs": len(rows),
        "best_epoch": run.checkpoints.best_epoch,
        "val/accuracy": best["val/accuracy"],
        "val/loss": best["val/loss"],
        "test/accuracy": test["accuracy"],
        "test/loss": test["loss"],
        "last/test/accuracy": last_test["accuracy"],
        "train/accuracy": last["train/accuracy"],
        "train/loss": last["train/loss"],
        "seconds": run.history.seconds,
        "epoch_seconds": epoch_seconds,
        "images_per_second": images * len(rows) / sum(row["train_seconds"] for row in rows),
        "peak_memory_bytes": peak,
        **{key: environment[key] for key in ("hardware", "precision", "threads", "versions")},
        "git": git_commit(),
        "code_digest": environment["code_digest"],
        "data_digest": run.checkpoints.about["data_digest"],
        "exact": run.checkpoints.about["exact"],
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    if run.tensorboard:
        _write_hyperparameters(run, cfg, record)
    _slim_last_checkpoint(directory)
    directory.write_record(record)
    print(
        f"test accuracy {record['test/accuracy']:.2%} (best epoch {record['best_epoch']} of "
        f"{record['epochs']}), {record['seconds']:.0f} s\n{directory.path}"
    )
    return record


def _test_logits(run: Run) -> np.ndarray:
    batches = run.trainer.predict(run.task, datamodule=run.data)
    assert batches is not None
    return torch.cat([batch for batch in batches if isinstance(batch, torch.Tensor)]).half().numpy()


def score(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy (a fraction) and mean cross-entropy of logits `[N, K]` against labels `[N]`."""
    loss = F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels))
    return {"accuracy": float((logits.argmax(1) == labels).mean()), "loss": float(loss)}


def _write_hyperparameters(run: Run, cfg: DictConfig, record: dict[str, Any]) -> None:
    assert run.tensorboard is not None
    values = {
        "dataset": cfg.dataset.name,
        "model": cfg.model.name,
        "join": (cfg.model.get("join") or {}).get("_target_", "none").rpartition(".")[2],
        "optimizer": cfg.optimizer.optimizer._target_.rpartition(".")[2],
        "lr": cfg.optimizer.lr,
        "weight_decay": cfg.optimizer.weight_decay,
        "batch_size": cfg.dataset.batch_size,
        "label_smoothing": cfg.label_smoothing,
        "max_epochs": cfg.trainer.max_epochs,
        "seed": cfg.seed,
    }
    names = ("test/accuracy", "test/loss", "last/test/accuracy", "seconds")
    run.tensorboard.write_hyperparameters(values, {name: record[name] for name in names})


def _slim_last_checkpoint(directory: RunDirectory) -> None:
    """A finished run is not resumed: its optimizer's state and its older checkpoint go."""
    checkpoint = files.load(directory.latest.last)
    checkpoint["optimizer_states"] = []
    files.save(checkpoint, directory.latest.last)
    directory.latest.previous.unlink(missing_ok=True)


def _report_finished(directory: RunDirectory, record: dict[str, Any]) -> None:
    print(f"{directory.path}: finished, test accuracy {record['test/accuracy']:.2%}")
    if record["code_digest"] != code_digest():
        print(
            "warning: the code that can change a result has changed since; rerun=true trains anew",
            file=sys.stderr,
        )


def _quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
