"""A trained network to ask, whether it comes from a run or from an exported file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reslab.errors import UserError
from reslab.export.read import open_export
from reslab.machine import configure_kernels, supports_bf16
from reslab.predicting.engine import Engine
from reslab.runs.load import Description, TrainedClassifier, load


@dataclass(frozen=True)
class Model:
    """What predicts.

    Attributes:
        description: How pictures are prepared, and what the logits mean.
        logits: uint8 `[N, C, S, S]` of the description's size to fp32 `[N, K]`, on the CPU.
    """

    description: Description
    logits: Callable[[Tensor], Tensor]

    def check_tta(self, asked: bool) -> None:
        """Refuses to average over mirror images where the network has not learned from such."""
        if asked and not self.description.mirrored:
            raise UserError(
                f"--tta averages over mirror images, and {self.description.name} was not trained "
                f"on such: it would do harm"
            )

    def probabilities(self, images: Tensor, mirror: bool = False) -> Tensor:
        """Softmax `[N, K]` of uint8 `[N, C, S, S]`; with `mirror` its mean over both views."""
        probabilities = self.logits(images).softmax(1)
        if mirror:
            probabilities = (probabilities + self.logits(images.flip(-1)).softmax(1)) / 2
        return probabilities


def open_model(
    run: str, runs_dir: Path, device: str, batch_size: int, *, compile: bool = False
) -> Model:
    """Opens a run by its directory, name or a part of that, or an exported file.

    Args:
        run: The run or the file.
        runs_dir: Where runs lie.
        device: `auto`, `cpu`, `cuda`.
        batch_size: Images computed at once.
        compile: Whether to compile the network.

    Raises:
        UserError: There is no such run or device, the file is not an export of reslab's, or the
            network cannot be compiled.
    """
    if Path(run).is_file():
        if compile:
            raise UserError(f"--compile is for runs, and {run} is a file")
        return Model(*open_export(Path(run), _prepared(device)))
    return open_run(load(run, runs_dir), device, batch_size, compile=compile)


def open_run(
    classifier: TrainedClassifier, device: str, batch_size: int, *, compile: bool = False
) -> Model:
    """A run's network on a device, folded and in bf16 where the hardware has it.

    Raises:
        UserError: There is no such device, or the network cannot be compiled.
    """
    where, description = _prepared(device), classifier.description
    engine = Engine(
        classifier.network,
        description.preprocessing,
        where,
        bf16=supports_bf16(where),
        batch_size=batch_size,
        compile=compile,
    )
    return Model(description, engine)


def _prepared(device: str) -> torch.device:
    """The device of that name, this process' kernels chosen for speed; `auto` is a GPU if any."""
    configure_kernels(exact=False)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: not on this machine; try auto or cpu") from error
    return chosen
