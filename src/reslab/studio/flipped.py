"""Test images that one of two networks has right and the other wrong, as pictures."""

import base64
import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.studio.curves import stamp
from reslab.studio.sides import Answers, answers, sides

MOST_PICTURES = 40  # of each kind


def flipped(runs: Sequence[str], name: str, base: str) -> dict[str, Any]:
    """Which images are right on one side alone, those first that are so for most seeds.

    Args:
        runs: Folders of those that are compared.
        name: One of a side.
        base: One of the side that it is compared with.

    Returns:
        `parts`: what each is called, `total` images, and of the first of these the number `at`
        which it is, how many `seeds` agree, its `truth`, what it was taken for, which is `wrong`,
        and the `picture`; the number of `seeds`; and `why` there are no pictures, if that is so.

    Raises:
        UserError: The two cannot be compared.
    """
    by_name = {run: side for side in sides(runs) for run in side.names}
    if name not in by_name or base not in by_name:
        raise UserError("the runs to compare are not among those selected")
    first, second = by_name[name], by_name[base]
    pairs = list(answers(first, second).values())
    mirrored = [(other, one) for one, other in pairs]
    counts = [
        np.sum([right.right & ~wrong.right for right, wrong in both], 0)
        for both in (pairs, mirrored)
    ]
    # The most seeds first, and of as many the data set's own order.
    chosen = [np.argsort(-count, kind="stable")[: np.count_nonzero(count)] for count in counts]
    shown = [part[:MOST_PICTURES] for part in chosen]
    why, pictures = "", {}
    try:
        wanted = np.unique(np.concatenate(shown))
        pictures = _pictures(next(iter(first.runs.values())).directory, wanted, pairs[0][0].labels)
    except UserError as error:
        why = f"no pictures: {error}"
    parts = [
        {
            "title": f"Only {side.title} is right",
            "total": len(part),
            "images": [
                _taken_for(at, both) | {"seeds": int(count[at]), "picture": pictures.get(at)}
                for at in few.tolist()
            ],
        }
        for side, both, part, few, count in zip(
            (first, second), (pairs, mirrored), chosen, shown, counts, strict=True
        )
    ]
    return {"parts": parts, "seeds": len(pairs), "why": why}


def _taken_for(at: int, pairs: Sequence[tuple[Answers, Answers]]) -> dict[str, Any]:
    """An image's truth, and what it was taken for by the first of those that alone are wrong."""
    wrong = next(wrong for right, wrong in pairs if right.right[at] and not wrong.right[at])
    return {
        "at": at,
        "truth": wrong.names[wrong.labels[at]],
        "wrong": wrong.names[wrong.classes[at]],
    }


def _pictures(run: RunDirectory, wanted: np.ndarray, labels: np.ndarray) -> dict[int, str]:
    """Test images as the network saw them, by their number, as addresses that hold them.

    Raises:
        UserError: The data set is not on this disk, or is another one.
    """
    images, found = _test_set(run.path, stamp(run.config_file))
    if not np.array_equal(found, labels):
        raise UserError("the data set on this disk is not the one that was tested")
    return {at: _png(images[at]) for at in wanted.tolist()}


@lru_cache(maxsize=1)
def _test_set(path: Path, config: str) -> tuple[np.ndarray, np.ndarray]:
    """A run's test images uint8 `[N, C, H, W]` and labels `[N]`; `config` tells that it changed."""
    from reslab.predicting.load import data_set  # which imports torch

    run = RunDirectory(path)
    data = data_set(run.config().dataset, run)
    return data.test_images.numpy(), data.test_labels.numpy()


def _png(image: np.ndarray) -> str:
    """An image `[C, H, W]` as a `data:` address."""
    buffer = io.BytesIO()
    pixels = image.transpose(1, 2, 0)
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
