"""The options of Lightning's trainer: each is honored, or refused by name."""

import json
import os
import re
from typing import Any

from omegaconf import DictConfig

from reslab.errors import UserError

# Options that are the task's, since it optimizes, and ours.
THE_TASK_S = ("gradient_clip_val", "gradient_clip_algorithm", "compile")
NOT_LIGHTNING_S = (*THE_TASK_S, "quiet", "strategy", "sync_batchnorm")

ONE_DEVICE = "a run is one process on one device; trainer=ddp has several, a process on each"
ONE_VALIDATION = "a run validates once, at each epoch's end"
LIMITS = "trainer.max_epochs, max_steps and patience end a run"
OWN = "a run has its own"

# Options of Lightning's that a run does not take, and why.
REFUSED = {
    "accumulate_grad_batches": "every batch is a step; choose dataset.batch_size",
    "barebones": "a run keeps its metrics and checkpoints",
    "callbacks": OWN,
    "check_val_every_n_epoch": ONE_VALIDATION,
    "default_root_dir": "a run's files lie below runs_dir",
    "enable_autolog_hparams": OWN,
    "enable_checkpointing": "every run is saved; checkpoint_every says how often",
    "enable_model_summary": "`reslab summary` shows the network",
    "fast_dev_run": "trainer.limit_train_batches makes a run short",
    "limit_predict_batches": "the test set is read whole",
    "limit_test_batches": "the test set is read whole",
    "log_every_n_steps": "metrics are those of epochs",
    "logger": "the group logger chooses one",
    "max_steps": "the run's own max_steps is",
    "max_time": LIMITS,
    "min_epochs": LIMITS,
    "min_steps": LIMITS,
    "model_registry": OWN,
    "num_nodes": "torchrun, started on each node, says how many there are",
    "num_sanity_val_steps": ONE_VALIDATION,
    "overfit_batches": "trainer.limit_train_batches makes an epoch short",
    "plugins": OWN,
    "profiler": "`reslab bench` measures",
    "reload_dataloaders_every_n_epochs": "the images stay in memory",
    "use_distributed_sampler": "each device takes its share of every batch",
    "val_check_interval": ONE_VALIDATION,
}

# What the others can be. Numbers have their ranges in `runs.check`, devices are looked for.
YES_OR_NO = (True, False)
CHOICES: dict[str, tuple[Any, ...]] = {
    "benchmark": (None, *YES_OR_NO),
    "compile": (None, *YES_OR_NO),
    "detect_anomaly": YES_OR_NO,
    "deterministic": (None, *YES_OR_NO, "warn"),
    "enable_progress_bar": YES_OR_NO,
    "gradient_clip_algorithm": (None, "norm", "value"),
    "inference_mode": YES_OR_NO,
    "precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
    "quiet": (None, *YES_OR_NO),
    "strategy": (None, "ddp"),
    "sync_batchnorm": (None, *YES_OR_NO),
}
HONORED = (
    *(name for name in CHOICES if name not in NOT_LIGHTNING_S),
    *("accelerator", "devices", "gradient_clip_algorithm", "gradient_clip_val"),
    *("limit_train_batches", "limit_val_batches", "max_epochs", "strategy", "sync_batchnorm"),
)


def check_trainer(options: DictConfig) -> None:
    """Refuses, by its name, what a run does not do.

    Raises:
        UserError: An option is not supported, or has no such value.
    """
    if foreign := sorted(name for name in os.environ if name.startswith("PL_TRAINER_")):
        raise UserError(f"${foreign[0]} changes runs behind their configuration: unset it")
    for name, reason in REFUSED.items():
        if options.get(name) is not None:
            raise UserError(f"trainer.{name} is not supported: {reason}")
    for name, choices in CHOICES.items():
        value = options.get(name, choices[0])
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            texts = ", ".join(json.dumps(choice).strip('"') for choice in choices)
            raise UserError(f"trainer.{name} must be one of {texts}, got {value}")
    devices = options.get("devices", "auto")
    if options.get("strategy") == "ddp":
        if devices != "auto" and (type(devices) is not int or devices < 1):
            raise UserError(
                f"trainer.devices={devices}: with trainer=ddp it is auto or how many, and "
                f"CUDA_VISIBLE_DEVICES says which"
            )
    elif not _are_one(devices, options.get("accelerator")):
        raise UserError(f"trainer.devices={devices} is not supported: {ONE_DEVICE}")
    if options.get("gradient_clip_val") and options.precision == "16-mixed":
        raise UserError(
            "trainer.gradient_clip_val: trainer.precision=16-mixed scales gradients until they are "
            "used; choose bf16-mixed or 32-true"
        )


def _are_one(devices: Any, accelerator: Any) -> bool:
    """Whether that is one device, by Lightning's ways to say how many or which."""
    if devices == "auto" and accelerator == "cpu":
        return True
    if devices == "auto":
        import torch  # for which what says how many does not wait

        return torch.cuda.device_count() < 2
    return str(devices) == "1" or chosen_number(devices) is not None


def chosen_number(devices: Any) -> int | None:
    """Which GPU `[3]` or `3,` says; None of anything else."""
    found = re.fullmatch(r"\[(\d+)\]|(\d+),", str(devices))
    return int(found[1] or found[2]) if found else None
