"""Sources: official files, verified, as uint8 arrays."""

import contextlib
import gzip
import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from reslab import locks
from reslab.data.archives import DAMAGE, refuse_what_leads_out
from reslab.data.remarks import Remark
from reslab.data.splits import split
from reslab.errors import UserError


@dataclass(frozen=True)
class ImageArrays:
    """A decoded data set: images uint8 `[N, C, H, W]`, labels int64 `[N]`.

    Those for validation are None where they are to be held out of those for training.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]
    val: tuple[Tensor, Tensor] | None = None
    remarks: tuple[Remark, ...] = ()


class Source(Protocol):
    """What a data set comes from."""

    def prepare(self, root: Path) -> None:
        """Makes the files below `root` present and verified, or raises UserError."""

    def unverified(self, root: Path) -> list[str]:
        """Files below `root` of which nobody knows whether they are the official ones."""

    def load(self, root: Path) -> ImageArrays:
        """Decodes the files below `root`."""


@runtime_checkable
class FetchingSource(Source, Protocol):
    """A source that fetches what is missing when it is prepared."""

    def missing(self, root: Path) -> list[str]:
        """The files that are not below `root`, and would be fetched."""


class DigitsSource:
    """scikit-learn's 1,797 handwritten 8x8 digits, which need no file and no network.

    They come without a test set: a fifth is set apart, stratified and always the same.
    """

    def prepare(self, root: Path) -> None:
        """Nothing to fetch: the images are inside scikit-learn."""

    def unverified(self, root: Path) -> list[str]:
        """None: there are no files."""
        return []

    def load(self, root: Path) -> ImageArrays:
        """The images, their 17 grey levels spread over 0 to 255."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(np.rint(digits.images * (255 / 16)).astype(np.uint8))[:, None]
        labels = torch.from_numpy(digits.target).long()
        train, test = split(labels, held_out=360, seed=0)
        names = tuple(str(name) for name in digits.target_names)
        return ImageArrays(images[train], labels[train], images[test], labels[test], names)


class TorchvisionSource:
    """A torchvision data set whose files are checked against digests of our own.

    Args:
        dataset: The torchvision class, called with (root, train=, download=).
        files: Path below the root to digest (`md5:...` or `sha256:...`) of each file that is read;
            None where none is published.
        archives: The same for the downloads from which torchvision unpacks them.
    """

    def __init__(
        self,
        dataset: Callable[..., Any],
        files: Mapping[str, str | None],
        archives: Mapping[str, str],
    ) -> None:
        self.dataset, self.files, self.archives = dataset, files, archives

    def prepare(self, root: Path) -> None:
        """Verifies the files; fetches them first where they are missing.

        Raises:
            UserError: A file is not the official one, or cannot be fetched.
        """
        if self.missing(root):
            with contextlib.ExitStack() as stack:
                try:
                    root.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(locks.held(root / ".prepare.lock"))
                except OSError as error:
                    text = f"data_dir: cannot write in {root}: {error.strerror}"
                    raise UserError(text) from error
                if self.missing(root):
                    _verify(root, self.archives)
                    _verify(root, self.files)
                    self._fetch(root)
        _verify(root, self.files)
        self._compare_with_archives(root)
        for folder in {(root / name).parent.with_name("processed") for name in self.files}:
            if folder.exists():
                raise UserError(
                    f"{folder} is of an old torchvision, which would read it instead of the "
                    f"verified files: move it away"
                )

    def unverified(self, root: Path) -> list[str]:
        """The files that neither a digest nor an archive beside them vouches for."""
        return [
            name
            for name, digest in self.files.items()
            if digest is None and not (root / f"{name}.gz").is_file()
        ]

    def _compare_with_archives(self, root: Path) -> None:
        """Files without digests are what the verified archives beside them unpack to."""
        for name, digest in self.files.items():
            archive = root / f"{name}.gz"
            if digest is None and archive.is_file():
                _verify(root, {f"{name}.gz": self.archives.get(f"{name}.gz")})
                try:
                    with gzip.open(archive) as unpacked:
                        content = unpacked.read()
                except (OSError, EOFError, *DAMAGE) as error:
                    raise UserError(f"{archive} is damaged: {error}; it was kept") from error
                if content != (root / name).read_bytes():
                    raise UserError(f"{root / name} is not what {archive} unpacks to; it was kept")

    def load(self, root: Path) -> ImageArrays:
        """Decodes both halves through torchvision."""
        decode = _without_check(self.dataset, self.files)
        try:
            train, test = (decode(str(root), train=half) for half in (True, False))
        except RuntimeError as error:  # its own check's
            raise UserError(f"data_dir={root}: {str(error).partition(chr(10))[0]}") from error
        return ImageArrays(
            _as_images(train.data),
            torch.as_tensor(train.targets).long(),
            _as_images(test.data),
            torch.as_tensor(test.targets).long(),
            tuple(train.classes),
        )

    def missing(self, root: Path) -> list[str]:
        """The files that are not below `root`, and would be fetched."""
        return [name for name in self.files if not (root / name).is_file()]

    def _fetch(self, root: Path) -> None:
        """Fetches into a folder apart: under its name a file is whole, in any process' eyes."""
        wanted = ", ".join(f"{root / name} ({digest})" for name, digest in self.archives.items())
        wanted = wanted or "files"
        apart = root / ".fetched"
        try:
            shutil.rmtree(apart, ignore_errors=True)  # of a process that was killed
            apart.mkdir()
            for name in self.archives:
                if (root / name).is_file():
                    (apart / name).parent.mkdir(parents=True, exist_ok=True)
                    (apart / name).symlink_to((root / name).resolve())
            refuse_what_leads_out(apart.rglob("*"))
            with contextlib.redirect_stdout(io.StringIO()):
                self.dataset(str(apart), train=True, download=True)
            fetched = [
                path for path in apart.rglob("*") if path.is_file() and not path.is_symlink()
            ]
            refuse_what_leads_out(fetched)
            # Archives first, which are to vouch for files that have no digest.
            for path in sorted(fetched, key=lambda path: path.suffix != ".gz"):
                _move_in(path, root / path.relative_to(apart))
        except (OSError, RuntimeError, EOFError, *DAMAGE) as error:
            why = str(error).partition("\n")[0]
            raise UserError(
                f"data_dir={root} lacks {', '.join(self.missing(root))}, and fetching failed "
                f"({why}); put the official {wanted} there and run the "
                f"same command again"
            ) from error
        finally:
            shutil.rmtree(apart, ignore_errors=True)


def _move_in(path: Path, target: Path) -> None:
    """Moves a file to its place in one step, from another disk too; what is there is kept."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        near = target.with_name(f".{target.name}.tmp")
        shutil.move(path, near)
        near.replace(target)


def _verify(root: Path, digests: Mapping[str, str | None]) -> None:
    known = {
        root / name: expected
        for name, expected in digests.items()
        if expected is not None and (root / name).is_file()
    }
    with ThreadPoolExecutor() as pool:  # hashing does not hold the interpreter's lock
        found = pool.map(_digest, known, [text.partition(":")[0] for text in known.values()])
        for (path, expected), actual in zip(known.items(), found, strict=True):
            if actual != expected:
                raise UserError(
                    f"{path} is not the official file (expected {expected}, found {actual}); it "
                    f"was kept: replace it, or delete it to have it fetched again"
                )


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def _without_check(
    dataset: Callable[..., Any], verified: Mapping[str, str | None]
) -> Callable[..., Any]:
    """A torchvision class without its own check, which reads every file once more for each half.

    It is left out where all that it would look at has been verified, by the digests that it has:
    who has written others into a configuration may have written the files, which are unpickled.
    """
    made = dataset if isinstance(dataset, partial) else partial(dataset)
    checked: Any = made.func
    if not hasattr(checked, "_check_integrity"):
        return dataset
    try:
        meta = (checked.meta["filename"], checked.meta["md5"])
        listed = (*checked.train_list, *checked.test_list, meta)
        known = {f"{checked.base_folder}/{name}": f"md5:{md5}" for name, md5 in listed}
    except (AttributeError, KeyError, TypeError, ValueError):  # of another form than CIFAR's
        return dataset
    if not known.items() <= verified.items():
        return dataset
    trusting = type(checked.__name__, (checked,), {"_check_integrity": lambda self: True})
    return partial(trusting, *made.args, **made.keywords)


def _as_images(data: Any) -> Tensor:
    """`[N, H, W]` or `[N, H, W, C]` of uint8, as torchvision keeps it, to `[N, C, H, W]`."""
    images = torch.as_tensor(data)
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    return images.contiguous()
