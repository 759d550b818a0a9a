"""A user's own pictures, a folder a class, as a data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reslab.data.augment import Augment
from reslab.data.decoded import decoded
from reslab.data.module import ImageData
from reslab.data.remarks import remark_on, say_unreadable
from reslab.data.sources import ImageArrays
from reslab.data.splits import split_each
from reslab.errors import UserError
from reslab.pictures.folder import PARTS, TEST, TRAIN, VAL, PictureFolder, look_at_folder
from reslab.ranges import check_number
from reslab.reporter import SILENT, Reporter

UNREADABLE = ("refuse", "skip")
REMEDY = "mend or delete them, or leave them out by dataset.unreadable=skip"


class FolderSource:
    """Pictures below a folder: of each class, and divided into parts or to be divided.

    Args:
        content: What the folder is to hold, as `PictureFolder.content` says it.
        kept_in: Where decoded pictures are kept.
        channels: 1 for grey, 3 for color.
        size: Height and width in pixels.
        val_share: Share of every class held out for validation, where the folder has no such part.
        test_share: The same for the test; always the same pictures.
        split_seed: Seed of what is held out for validation.
        unreadable: `refuse` to go on where pictures cannot be read, or `skip` them.
    """

    def __init__(
        self,
        content: str,
        kept_in: Path,
        channels: int,
        size: int,
        val_share: float,
        test_share: float,
        split_seed: int,
        unreadable: str,
    ) -> None:
        self.content, self.kept_in = content, kept_in
        self.channels, self.size = channels, size
        self.val_share, self.test_share, self.split_seed = val_share, test_share, split_seed
        self.unreadable = unreadable
        self.reporter: Reporter = SILENT

    def prepare(self, root: Path) -> None:
        """Looks whether the folder holds what it is to hold.

        Raises:
            UserError: It does not.
        """
        content = look_at_folder(root).content
        if content != self.content:
            raise UserError(
                f"dataset.root={root} holds other pictures ({content}) than those "
                f"that are asked for ({self.content})"
            )

    def unverified(self, root: Path) -> list[str]:
        """None: that the pictures are those of the configuration was looked at."""
        return []

    def load(self, root: Path) -> ImageArrays:
        """Decodes and divides the pictures.

        Raises:
            UserError: A class has too few pictures that can be read to be divided.
        """
        folder = look_at_folder(root)
        found = decoded(folder, self.channels, self.size, self.kept_in, self.reporter)
        unreadable = []
        if found.problems:
            remedy = REMEDY if self.unreadable == "refuse" else ""
            unreadable = [say_unreadable(folder, found, remedy)]
        good = np.array([at not in found.problems for at in range(len(folder.pictures))])
        numbers = {name: number for number, name in enumerate(folder.class_names)}
        labels = torch.tensor([numbers[picture.class_name] for picture in folder.pictures])
        try:
            parts = self._divide(folder, labels, good)
        except UserError:
            for remark in unreadable:  # which may be why
                self.reporter.warn("\n".join(remark.lines()))
            raise
        images = torch.from_numpy(found.images)
        return ImageArrays(
            *(images[parts[TRAIN]], labels[parts[TRAIN]]),
            *(images[parts[TEST]], labels[parts[TEST]]),
            class_names=folder.class_names,
            val=(images[parts[VAL]], labels[parts[VAL]]),
            remarks=(*unreadable, *remark_on(folder, parts)),
        )

    def _divide(self, folder: PictureFolder, labels: Tensor, good: np.ndarray) -> dict[str, Tensor]:
        """The numbers of the pictures of each part."""
        part_of = np.array([picture.part or TRAIN for picture in folder.pictures])
        parts = {part: torch.from_numpy(((part_of == part) & good).nonzero()[0]) for part in PARTS}
        shares = {TEST: self.test_share, VAL: self.val_share}
        seeds = {TEST: 0, VAL: self.split_seed}
        lacking = [part for part in shares if not len(parts[part])]
        counts = torch.bincount(labels[parts[TRAIN]], minlength=folder.num_classes)
        left = 1.0
        for part in lacking:
            kept, out = split_each(labels[parts[TRAIN]], shares[part] / left, seeds[part])
            parts |= {TRAIN: parts[TRAIN][kept], part: parts[TRAIN][out]}
            left -= shares[part]
        for number, name in enumerate(folder.class_names):
            if counts[number] <= len(lacking) or number not in labels[parts[TRAIN]]:
                pictures = f"{counts[number]} picture{'' if counts[number] == 1 else 's'}"
                raise UserError(
                    f"dataset.root={folder.root}: the class {name} has {pictures}, "
                    f"too few for {', '.join([TRAIN, *lacking])}: add some, or take it out"
                )
        return parts


class FolderData(ImageData):
    """A folder of pictures as a data set; see `FolderSource` and `ImageData` for what is not here.

    Args:
        root: The folder.
        data_dir: Decoded pictures are kept below it.
    """

    source: FolderSource

    def __init__(
        self,
        name: str,
        root: str,
        content: str,
        data_dir: str,
        channels: int,
        num_classes: int,
        size: int,
        batch_size: int,
        val_share: float,
        test_share: float,
        split_seed: int,
        seed: int,
        augment: Augment,
        unreadable: str = "refuse",
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        val_size: None = None,
        validate_on_test: bool | None = None,
        small_size: int | None = None,
        small_epochs: int | None = None,
    ) -> None:
        for field, share in {"val_share": val_share, "test_share": test_share}.items():
            check_number(field, share, 0.001, 0.9)
        if val_share + test_share > 0.95:
            raise ValueError(
                f"val_share={val_share} and test_share={test_share} leave too little to train on"
            )
        if unreadable not in UNREADABLE:
            raise ValueError(f"unreadable must be one of {', '.join(UNREADABLE)}, got {unreadable}")
        if val_size is not None:
            raise ValueError(f"val_size={val_size} is for other data sets: choose val_share")
        source = FolderSource(
            content,
            Path(data_dir) / "pictures",
            channels,
            size,
            val_share,
            test_share,
            split_seed,
            unreadable,
        )
        super().__init__(
            name=name,
            source=source,
            data_dir=root,
            channels=channels,
            num_classes=num_classes,
            size=size,
            batch_size=batch_size,
            val_size=val_size,
            split_seed=split_seed,
            seed=seed,
            augment=augment,
            mean=mean,
            std=std,
            validate_on_test=validate_on_test,
            small_size=small_size,
            small_epochs=small_epochs,
        )

    def prepare_data(self) -> None:
        """Looks whether the folder holds what it is to hold."""
        self.source.reporter = self.reporter
        super().prepare_data()
