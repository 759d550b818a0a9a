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
