"""What a training that fails for what it was asked says, in a line: what is kept, what may help."""

import gc
import traceback
from typing import Any

import torch
from omegaconf import DictConfig

from reslab import ranks
from reslab.errors import UserError
from reslab.finite import NotFiniteError
from reslab.reporter import Reporter
from reslab.runs import checkpoint as files
from reslab.runs.beginning import build_task
from reslab.runs.store import RunDirectory
from reslab.runs.trainer import uses_bf16

# What is said where a CPU's memory does not do, in errors of no type of their own: by torch's
# allocator, and by oneDNN, which says no more than this.
LACKS_MEMORY = ("can't allocate memory", "not enough memory", "could not create a primitive")


def explained(
    error: Exception,
    cfg: DictConfig,
    directory: RunDirectory,
    image_shape: tuple[int, int, int],
    device: torch.device,
    reporter: Reporter,
) -> UserError | None:
    """What ended training, for a user; None where it is nothing that one can mend.

    Args:
        error: What training raised.
        cfg: The run's configuration.
        directory: Its directory.
        image_shape: `[C, H, W]` of what the network sees.
        device: Where it trained.
        reporter: Told that a batch that fits is looked for.
    """
    if isinstance(error, NotFiniteError):
        return UserError(f"{error}; {_kept(directory)}; what usually helps: {_calmer(cfg)}")
    if lacks_memory(error):
        traceback.clear_frames(error.__traceback__)  # which hold what the step had allocated
        asked = int(cfg.dataset.batch_size)
        reporter.say(f"out of memory with dataset.batch_size={asked}: looking for one that fits")
        number = ranks.started()  # each takes its share
        fits = number * largest_that_fits(cfg, asked // number // 2, image_shape, device)
        advice = f"dataset.batch_size={fits} fits" if fits else "no smaller one was found that fits"
        return UserError(f"dataset.batch_size={asked}: out of memory on {device.type}; {advice}")
    return None


def lacks_memory(error: BaseException) -> bool:
    """Whether an allocator has refused memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in LACKS_MEMORY)


def largest_that_fits(
    cfg: DictConfig, batch_size: int, image_shape: tuple[int, int, int], device: torch.device
) -> int:
    """Of a batch and its halves the largest with which a step of training fits; 0: none.

    The step is not compiled, which takes no less memory than one that is.
    """
    while batch_size > 0:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            _step(cfg, batch_size, image_shape, device)
        except Exception as error:
            if not lacks_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)
            batch_size //= 2
        else:
            return batch_size
    return 0


def _step(
    cfg: DictConfig, batch_size: int, image_shape: tuple[int, int, int], device: torch.device
) -> None:
    task: Any = build_task(cfg)
    network = task.network.to(device).train()
    optimizer, _ = task.optimization.build(network, cfg.monitor)
    images = torch.zeros(batch_size, *image_shape, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch_size, dtype=torch.long, device=device)
    with torch.autocast(device.type, torch.bfloat16, enabled=uses_bf16(cfg, device)):
        loss, _ = task.loss_and_logits(images, labels)
    loss.backward()
    optimizer.step()
    loss.item()


def _kept(directory: RunDirectory) -> str:
    """Which checkpoint is the last good one.

    BatchNorm's statistics, which no gradient shows, may have overflowed in a step before.
    """
    spoilt = ""
    for path in (directory.latest.last, directory.latest.previous):
        if not path.exists():
            continue
        content = files.load(path)
        if _is_finite(content["state_dict"]) and _is_finite(content["optimizer_states"]):
            step = content["global_step"]
            return f"the last checkpoint before it{spoilt}, {path}, is of step {step}"
        spoilt = " with finite numbers alone"
    return f"no checkpoint{spoilt} was saved before it"


def _is_finite(state: Any) -> bool:
    """Whether all numbers of tensors are, in dictionaries and lists within one another."""
    if isinstance(state, torch.Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return all(map(_is_finite, parts))


def _calmer(cfg: DictConfig) -> str:
    """What calms training down and is not asked for yet."""
    options = [f"an optimizer.lr below {cfg.optimizer.lr}"]
    if not cfg.trainer.get("gradient_clip_val"):
        options.append("+trainer.gradient_clip_val=1")
    if cfg.trainer.precision != "32-true":
        options.append("trainer.precision=32-true")
    return ", ".join(options)
