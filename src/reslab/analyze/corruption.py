"""How many images runs have right when these are corrupted, kind by kind and by severity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.analysis.corruption import KINDS, PUBLISHED, SEVERITIES, SMALLEST, corrupt
from reslab.analyze.opened import Opened
from reslab.analyze.question import refuse_beyond
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.reporter import Reporter
from reslab.runs.store import RunDirectory

DRAWN = "frost"  # without the photographs, and so in no mean that is held against published ones
CIFAR10 = ("cifar10", 32)  # the data set's name, and pixels a side


@dataclass(frozen=True)
class Settings:
    """What is asked for.

    Attributes:
        kinds: The ways to corrupt; in a text there are commas between them.
        images: How many test images are corrupted; all, where there are fewer.
        official: The folder with the files of CIFAR-10-C, to take those in place of making them.
        seed: What draws the images and all that is random in corrupting them.
    """

    kinds: str | tuple[str, ...] = tuple(KINDS)
    images: int = 1000
    official: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        asked = self.kinds.strip("[]").split(",") if isinstance(self.kinds, str) else self.kinds
        names = [name.strip() for name in asked]
        if unknown := [name for name in names if name not in KINDS]:
            raise UserError(f"kinds: {unknown[0]!r} is none: choose among {', '.join(KINDS)}")
        if not names:
            raise UserError("kinds: choose at least one")
        object.__setattr__(self, "kinds", tuple(name for name in KINDS if name in names))
        if self.official is not None:
            object.__setattr__(self, "official", _wherever(self.official))
        refuse_beyond("images", self.images, least=1)
        refuse_beyond("seed", self.seed, least=0)

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Each kind at each severity, in turn."""
        return [(kind, severity) for kind in self.kinds for severity in SEVERITIES]

    @property
    def benchmark(self) -> tuple[str, ...]:
        """The benchmark's kinds, but for the one that is only drawn."""
        return tuple(kind for kind in PUBLISHED if self.official or kind != DRAWN)

    @property
    def averaged(self) -> tuple[str, ...]:
        """The kinds that are in the mean: the benchmark's, else published ones, else all."""
        asked = [kind for kind in self.benchmark if kind in self.kinds]
        published = [kind for kind in PUBLISHED if kind in self.kinds]
        return tuple(asked or published or self.kinds)


@dataclass(frozen=True)
class Corrupted:
    """What was found of a run.

    Attributes:
        clean: The share of the images that it has right as they are.
        shares: The same of each kind at each severity, `[K, 5]`.
        images: How many they are.
        kinds: The K kinds.
        averaged: Those of them that are in the mean.
        is_benchmark: Whether they are CIFAR-10's images, and all that is in the benchmark's mean.
    """

    clean: float
    shares: np.ndarray
    images: int
    kinds: tuple[str, ...]
    averaged: tuple[str, ...]
    is_benchmark: bool

    @property
    def by_severity(self) -> np.ndarray:
        """The mean over the kinds that are in it, at each severity `[5]`."""
        chosen = [self.shares[self.kinds.index(kind)] for kind in self.averaged]
        means: np.ndarray = np.mean(chosen, 0)
        return means

    @property
    def mean(self) -> float:
        """Over the same kinds and all severities."""
        return float(self.by_severity.mean())

    @property
    def mean_of(self) -> str:
        """What that is the mean of."""
        number = len(self.averaged)
        return "mean of 1 kind" if number == 1 else f"mean of {number} kinds"

    def __str__(self) -> str:
        """A line."""
        means = self.shares.mean(1)
        worst = int(means.argmin())
        return (
            f"clean {self.clean:.2%}, corrupted {self.mean:.2%} ({self.mean_of}), "
            f"worst {self.kinds[worst]} {means[worst]:.2%}"
        )


@dataclass(frozen=True)
class Selected:
    """The test images that are corrupted.

    Attributes:
        labels: Their N labels.
        clean: The images uint8 `[N, C, H, W]` as they are.
        corrupted: Gives them corrupted, by kind and severity.
    """

    labels: Tensor
    clean: Tensor
    corrupted: Callable[[str, int], Tensor]


def select(data: ImageData, settings: Settings) -> Selected:
    """Test images drawn from all, and where they come from when they are corrupted.

    Raises:
        UserError: The images are too small, or CIFAR-10-C is not there or of other images.
    """
    if min(data.test_images.shape[2:]) < SMALLEST:
        raise UserError(
            f"{data.name} has images of {data.size} pixels a side, and corruptions take {SMALLEST}"
        )
    official = {}
    if settings.official:
        official = _official(Path(settings.official), data, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    number = len(data.test_labels)
    taken = torch.randperm(number, generator=generator)[: settings.images]
    clean = data.test_images[taken]

    def corrupted(kind: str, severity: int) -> Tensor:
        if kind not in official:
            return corrupt(clean, kind, severity, settings.seed)
        rows = (severity - 1) * number + taken.numpy()
        return torch.from_numpy(official[kind][rows]).permute(0, 3, 1, 2).contiguous()

    return Selected(data.test_labels[taken], clean, corrupted)


def add(run: Opened, selected: Selected, settings: Settings, reporter: Reporter) -> None:
    """Finds what is not kept yet, and keeps it cell by cell.

    Args:
        run: The run, whose analysis nobody else adds to.
        selected: The images.
        settings: What is asked for.
        reporter: Told how far it is.
    """
    right, cells = list(run.kept.read().get("right", ())), [None, *settings.cells]
    with reporter.progress(len(cells), "cell") as advance:
        for _ in right:
            advance()
        for cell in cells[len(right) :]:
            images = selected.corrupted(*cell) if cell else selected.clean
            right.append(int((run.engine(images).argmax(1) == selected.labels).sum()))
            run.kept.write({"right": np.array(right), "images": np.array(len(images))})
            advance()


def read(
    run: RunDirectory, settings: Settings, arrays: Mapping[str, np.ndarray]
) -> Corrupted | None:
    """What arrays hold which were kept beside a run, None before it is whole."""
    right = arrays["right"]
    if len(right) <= len(settings.cells):
        return None
    number = int(arrays["images"])
    dataset = run.kept_config()["dataset"]
    clean, *shares = right / number
    by_kind = np.reshape(shares, (len(settings.kinds), len(SEVERITIES)))
    averaged = settings.averaged
    is_benchmark = averaged == settings.benchmark and (dataset["name"], dataset["size"]) == CIFAR10
    return Corrupted(clean, by_kind, number, tuple(settings.kinds), averaged, is_benchmark)


def _wherever(folder: str) -> str:
    """The folder's name, the same wherever it is asked from."""
    try:
        if folder:
            return str(Path(folder).expanduser().resolve())
        raise ValueError("it is empty")
    except (OSError, RuntimeError, ValueError) as error:  # nobody's home, links in a circle
        raise UserError(f"official={folder}: name the folder of CIFAR-10-C") from error


def _official(folder: Path, data: ImageData, settings: Settings) -> dict[str, np.ndarray]:
    """The kinds' files `[5 * N, H, W, C]`, mapped from the disk, severity after severity."""
    wanted = [kind for kind in settings.kinds if kind in PUBLISHED]
    if missing := [kind for kind in wanted if not (folder / f"{kind}.npy").is_file()]:
        raise UserError(
            f"official={folder} lacks {', '.join(f'{kind}.npy' for kind in missing)}: name the "
            f"folder of CIFAR-10-C, or choose kinds= without"
        )
    number, channels = data.test_images.shape[:2]
    rows = len(SEVERITIES) * number
    labels = _mapped(folder / "labels.npy")
    if not np.array_equal(labels, np.tile(data.test_labels.numpy(), len(SEVERITIES))):
        raise UserError(f"{folder / 'labels.npy'} has not the labels of {data.name}'s test images")
    found = {}
    for kind in wanted:
        path = folder / f"{kind}.npy"
        images = found[kind] = _mapped(path)
        fits = images.ndim == 4 and (len(images), images.shape[-1]) == (rows, channels)
        if images.dtype != np.uint8 or not fits:
            raise UserError(
                f"{path} has {images.dtype} of shape {list(images.shape)}, and not uint8 "
                f"[{rows}, height, width, {channels}], the test images at five severities"
            )
    return found


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.lib.format.open_memmap(path, mode="r")  # which reads no pickles
    except Exception as error:  # whatever a foreign or damaged file makes numpy stumble over
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is none"
        raise UserError(f"cannot read {path} as numpy's file of an array: {why}") from error
