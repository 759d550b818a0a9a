"""The record: what a finished run came to, and where that came from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from reslab.content import build, parse
from reslab.errors import UserError
from reslab.files import write_atomically

WAY_OUT = "rerun=true makes it anew"
NOT_REPEATED = "another environment, or kernels that do not give the same bits again"

# Metrics go by the names that the curves have.
KEYS = {
    "val_accuracy": "val/accuracy",
    "val_loss": "val/loss",
    "test_accuracy": "test/accuracy",
    "test_loss": "test/loss",
    "last_test_accuracy": "last/test/accuracy",
    "train_accuracy": "train/accuracy",
    "train_loss": "train/loss",
}


@dataclass(frozen=True)
class Provenance:
    """What a result may depend on besides its configuration.

    Attributes:
        hardware: The accelerator's name, or the processor's with its cores.
        precision: Lightning's name of it, such as `bf16-mixed`.
        threads: PyTorch's on the CPU.
        versions: Of Python and of the packages that compute.
        git: The commit of the code, with `+` if files differed from it; None outside a repository.
        code_digest: SHA-256 of the code that can change a result.
        data_digest: SHA-256 of all images and labels.
        exact: Whether it is, to the bit, what one uninterrupted process would have come to.
        device: `cpu`, `cuda` or `mps`.
        cores: Of the host's processor; None in a record of a version that did not count them.
        cpu_capability: The widest instructions that PyTorch's own kernels use on it, such as
            `AVX2`, which its name need not tell; None in older records.
        world_size: How many devices shared every batch, each with a process of its own.
        batch_norm: Of several devices: `per device` where each normalizes by its own share,
            `synchronized` by the whole batch; None without BatchNorm.
    """

    hardware: str
    precision: str
    threads: int
    versions: dict[str, str]
    git: str | None
    code_digest: str
    data_digest: str
    exact: bool
    device: str
    cores: int | None = None
    cpu_capability: str | None = None
    world_size: int = 1
    batch_norm: str | None = None


@dataclass(frozen=True)
class Extension:
    """Where a run began that went on with a finished one.

    Attributes:
        run: That one's name.
        identity: The hash of its configuration.
        epoch: How many epochs it had finished, which are this run's too.
        step: Its steps.
        exact: Whether the result is, to the bit, that of one run of this length.
        reason: Why it is not, else empty.
    """

    run: str
    identity: str
    epoch: int
    step: int
    exact: bool
    reason: str

    def __str__(self) -> str:
        """What a line says of it."""
        which = "as one run would be" if self.exact else f"not as one run would be: {self.reason}"
        return f"extended from step {self.step} (epoch {self.epoch}) of {self.run}, {which}"


@dataclass(frozen=True)
class Choice:
    """The epoch that a metric of validation calls the best.

    Attributes:
        epoch: It, from 1.
        test_accuracy: That of its weights, a fraction.
    """

    epoch: int
    test_accuracy: float


@dataclass(frozen=True)
class Record:
    """What is known of a finished run; accuracies are fractions, losses mean cross-entropies.

    Those of training are of the last epoch, those of validation of the best one, those of the test
    set of the best epoch's weights, and `last_test_accuracy` of the last one's.

    Attributes:
        identity: The hash of its configuration.
        recipe: The recipe that was chosen, None for none.
        overrides: What the user asked for besides.
        seed: Its seed.
        parameters: Trainable parameters.
        macs: Multiply-accumulates of one image's forward pass.
        epochs: Epochs that it ran.
        best_epoch: The best of them, from 1.
        seconds: Of all epochs together; `epoch_seconds` is their median.
        images_per_second: In training, validation left out.
        peak_memory_bytes: Of the accelerator, or of the process.
        checkpoint_bytes: The size of the file with the best weights, before it held this record.
        inference_images_per_second: On the test set.
        finished: When it ended, ISO 8601.
        others_cpu: Cores that other processes kept busy while it trained; None in older records.
        inference_others_cpu: The same, while the test set was predicted.
        dataset: The data set's name; None, as the next two, in older records.
        model: The network's name.
        join: What merges a block's input with its branch, None where nothing does.
        rerun: How often it had been started over.
        extends: The run that it went on with, None for none.
        choices: What each metric of validation chooses; None in older records.
    """

    identity: str
    recipe: str | None
    overrides: tuple[str, ...]
    seed: int
    parameters: int
    macs: int
    epochs: int
    best_epoch: int
    val_accuracy: float
    val_loss: float
    test_accuracy: float
    test_loss: float
    last_test_accuracy: float
    train_accuracy: float
    train_loss: float
    seconds: float
    epoch_seconds: float
    images_per_second: float
    peak_memory_bytes: int
    checkpoint_bytes: int
    inference_images_per_second: float
    provenance: Provenance
    finished: str
    others_cpu: float | None = None
    inference_others_cpu: float | None = None
    dataset: str | None = None
    model: str | None = None
    join: str | None = None
    rerun: int = 0
    extends: Extension | None = None
    choices: dict[str, Choice] | None = None

    def as_json(self) -> dict[str, Any]:
        """The content of `metrics.json`: one level, metrics by the names that curves have."""
        content: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Provenance):
                content |= {part.name: getattr(value, part.name) for part in fields(value)}
            elif isinstance(value, Extension):
                content[one.name] = asdict(value)
            elif isinstance(value, dict):
                content[one.name] = {
                    name: {KEYS.get(key, key): part for key, part in asdict(choice).items()}
                    for name, choice in value.items()
                }
            else:
                key = KEYS.get(one.name, one.name)
                content[key] = list(value) if isinstance(value, tuple) else value
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The record of which that is the content.

        Raises:
            ValueError: A field is missing or of another type.
        """
        parts: dict[str, Any] = {"provenance": build(Provenance, _with_device(content))}
        if isinstance(extends := content.get("extends"), Mapping):
            parts["extends"] = build(Extension, extends)
        if isinstance(choices := content.get("choices"), Mapping):
            parts["choices"] = {name: build(Choice, one, KEYS) for name, one in choices.items()}
        return build(cls, dict(content) | parts, KEYS)


def _with_device(content: Mapping[str, Any]) -> dict[str, Any]:
    """Records of versions that did not store the kind of device tell it by the hardware alone."""
    hardware = content.get("hardware")
    on_cpu = isinstance(hardware, str) and hardware.endswith(" cores")
    return {"device": "cpu" if on_cpu else "cuda"} | dict(content)


def read_record(path: Path) -> Record | None:
    """The record in a file, None where there is no file.

    Raises:
        UserError: The file is foreign or damaged; the message says what it lacks.
    """
    try:
        content = parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); {WAY_OUT}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no record of a run; {WAY_OUT}")
    try:
        return Record.from_json(content)
    except ValueError as error:
        raise UserError(f"{path} is no whole record of a run: {error}; {WAY_OUT}") from error


def write_record(record: Record, path: Path) -> None:
    """Writes a record: from then on its run is finished."""
    write_atomically(path, (json.dumps(record.as_json(), indent=2) + "\n").encode())
