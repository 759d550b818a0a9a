"""Which images are held out."""

import numpy as np
import torch
from torch import Tensor


def split(labels: Tensor, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """Splits `[N]` labels into indices that stay and `held_out` that do not, stratified by class.

    Both come sorted, and depend on the labels, the number and this seed alone.
    """
    from sklearn.model_selection import train_test_split

    kept, out = train_test_split(
        np.arange(len(labels)), test_size=held_out, random_state=seed, stratify=labels.numpy()
    )
    return torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(out))


def split_each(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Splits `[N]` labels into indices that stay and about that share of every class, at least one.

    Both come sorted, and depend on the labels, the share and this seed alone.
    """
    generator, out = np.random.default_rng(seed), torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0].numpy()
        out[generator.permutation(members)[: max(1, round(share * len(members)))]] = True
    return (~out).nonzero()[:, 0], out.nonzero()[:, 0]
